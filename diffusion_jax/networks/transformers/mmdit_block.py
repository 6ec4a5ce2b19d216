"""A block of MM-DiT: two streams, one of the picture and one of the text, that attend jointly."""

import flax.linen as nn
from jaxtyping import Array, Bool, Float

from diffusion_jax.networks.transformers.feed_forward import FeedForward
from diffusion_jax.networks.transformers.joint_attention import JointAttention
from diffusion_jax.networks.transformers.layers import (
    Tokens,
    Vector,
    layer_norm,
    modulate,
    modulations,
)
from diffusion_jax.networks.transformers.rotary import Rotation

EPSILON = 1e-6
Words = Float[Array, "batch words width"]


class MMDiTBlock(nn.Module):
    """Joint attention and a layer for each stream, scaled, shifted and gated by a vector.

    Names as in diffusers' SD3 and FLUX: `norm1`, `attn`, `attn2`, `ff`, and with `_context` those
    of the text.

    Attributes:
        heads: number of heads.
        head_width: features of a head.
        dtype: of the computation.
        implementation: of `attend`.
        normalised: whether queries and keys pass an RMS norm.
        perturbed: every row of the picture looks at itself and the text alone.
        dual: whether the picture attends to itself besides, as in SD3.5-medium.
        last: whether the text goes no further.
    """

    heads: int
    head_width: int
    dtype: str
    implementation: str
    normalised: bool
    perturbed: bool
    dual: bool
    last: bool

    @nn.compact
    def __call__(
        self,
        h: Tokens,
        words: Words | None,
        mask: Bool[Array, "batch words"] | None,
        condition: Vector,
        rotation: Rotation | None,
        deterministic: bool,
    ) -> tuple[Tokens, Words | None]:
        """Both streams; `deterministic` decides nothing."""
        steer = modulations(condition, 9 if self.dual else 6, self.dtype, "norm1.linear")
        normed = layer_norm(EPSILON, self.dtype)(h)
        hidden = modulate(normed, steer[0], steer[1])
        text_steer, text = self._text(words, condition)
        found, text_found = self._attention("attn", not self.last)(hidden, text, mask, rotation)
        h += steer[2][:, None] * found
        if self.dual:
            within = self._attention("attn2", False)
            h += steer[8][:, None] * within(modulate(normed, steer[6], steer[7]))[0]
        h = self._layer(h, steer, "ff")
        if words is None or text_found is None:
            return h, None
        words += text_steer[2][:, None] * text_found
        return h, self._layer(words, text_steer, "ff_context")

    def _text(self, words: Words | None, condition: Vector) -> tuple[list[Vector], Words | None]:
        """What steers the text, and the text as it goes into attention."""
        if words is None:
            return [], None
        steer = modulations(condition, 2 if self.last else 6, self.dtype, "norm1_context.linear")
        # The last block has the two in the other order.
        shift, scale = steer[::-1] if self.last else steer[:2]
        return steer, modulate(layer_norm(EPSILON, self.dtype)(words), shift, scale)

    def _attention(self, name: str, text_out: bool) -> JointAttention:
        settings = self.heads, self.head_width, self.dtype, self.implementation
        return JointAttention(*settings, self.normalised, self.perturbed, text_out, name=name)

    def _layer(self, h: Tokens, steer: list[Vector], name: str) -> Tokens:
        hidden = modulate(layer_norm(EPSILON, self.dtype)(h), steer[3], steer[4])
        layer = FeedForward("gelu-approximate", self.dtype, name=name)
        return h + steer[5][:, None] * layer(hidden)


def last_norm(h: Tokens, condition: Vector, dtype: str) -> Tokens:
    """The norm before the last linear map, `norm_out`; must be called within a compact module."""
    scale, shift = modulations(condition, 2, dtype, "norm_out.linear")
    return modulate(layer_norm(EPSILON, dtype)(h), shift, scale)
