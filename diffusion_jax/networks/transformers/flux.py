"""FLUX.1: blocks of two streams, then blocks of one, with rotary places."""

from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from diffusion_jax.errors import UserError
from diffusion_jax.networks import checks
from diffusion_jax.networks.attention import attend, is_perturbed
from diffusion_jax.networks.base import networks
from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.networks.configurations import ANY, rows, told
from diffusion_jax.networks.rematerialise import rematerialised
from diffusion_jax.networks.transformers.embeddings import TextAndTime, wide
from diffusion_jax.networks.transformers.joint_attention import joint_mask
from diffusion_jax.networks.transformers.layers import (
    Dense,
    Tokens,
    Vector,
    ZeroDense,
    layer_norm,
    modulate,
    modulations,
)
from diffusion_jax.networks.transformers.mmdit_block import EPSILON, MMDiTBlock, last_norm
from diffusion_jax.networks.transformers.packing import packed, unpacked
from diffusion_jax.networks.transformers.rotary import (
    Rotation,
    check_axes,
    grid_places,
    rotated,
    rotation,
)

OWNER = "flux"
PACKED = 2  # side of the square of latents that is one token
GUIDANCE = 1000.0  # by which the original multiplies a guidance scale
MLP_RATIO = 4


@networks.register(OWNER)
class Flux(nn.Module):
    """FLUX.1's transformer, as diffusers' FluxTransformer2DModel, over squares of 2x2 latents.

    It is called with 1000 t, t from 0 for data to 1 for noise, with T5's features in
    `context.tokens` and CLIP's pooled vector in `context.pooled`; without a context there is the
    picture alone. With `guidance_embeds`, as in FLUX.1-dev, `context.numbers` is (batch, 1) the
    guidance scale. Words that the mask leaves out are not seen; the original sees all.

    Source: Black Forest Labs 2024, FLUX.1, model.py; diffusers 0.42, transformer_flux.py. First
    values are those of DiT.

    Attributes:
        num_layers: number of blocks with two streams.
        num_single_layers: number of blocks with one, after them.
        num_attention_heads: attention heads.
        attention_head_dim: features of a head.
        guidance_embeds: whether it is told a guidance scale.
        axes_dims_rope: features of a head that turn with a first place, which is 0, with the row
            and with the column; their sum is attention_head_dim.
        remat: compute each block again in the backward pass rather than keep what it computed.
        attention_implementation: "xla", "cudnn", "pallas" or "auto", as of `attend`.
        perturbed: blocks in which a row of the picture looks at itself and the text alone; () is
            all, None none.
        dtype: dtype of the computation; parameters are float32.
        outputs: channels of the result for each channel of x.
        out_channels: features of a token of the result; None is `outputs` times those of x.

    Raises:
        UserError: a setting that cannot work, a picture with odd sides, or a guidance scale that
            is not told.
    """

    num_layers: int = 19
    num_single_layers: int = 38
    num_attention_heads: int = 24
    attention_head_dim: int = 128
    guidance_embeds: bool = False
    axes_dims_rope: tuple[int, ...] = (16, 56, 56)
    remat: bool = False
    attention_implementation: str = "xla"
    perturbed: tuple[int, ...] | None = None
    dtype: str = "float32"
    outputs: int = 1
    out_channels: int | None = None

    token_side: ClassVar[int] = PACKED
    original: ClassVar[str] = "FluxTransformer2DModel"
    fixed: ClassVar[dict[str, object]] = {
        "patch_size": 1,
        "in_channels": ANY,  # those of the pictures that it is given, four times
        "joint_attention_dim": ANY,  # as many as the context's tokens have
        "pooled_projection_dim": ANY,  # as many as the context's pooled vector has
    }

    @nn.nowrap
    def example(self, configuration: Mapping[str, Any]) -> tuple[Any, ...]:
        """Shapes of the inputs of a call."""
        told_of, guidance = configuration.get, int(self.guidance_embeds)
        text = told_of("joint_attention_dim", 4096), told_of("pooled_projection_dim", 768)
        channels = told_of("in_channels", 64) // PACKED**2
        return rows(PACKED, PACKED, channels), rows(), told(*text, guidance)

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.transformer(OWNER, self)
        checks.positive_integers(
            OWNER, num_single_layers=self.num_single_layers, outputs=self.outputs
        )
        checks.switch(OWNER, guidance_embeds=self.guidance_embeds)
        check_axes(OWNER, self.axes_dims_rope, 3, self.attention_head_dim, "axes_dims_rope")

    @property
    def width(self) -> int:
        """Features of a token."""
        return self.num_attention_heads * self.attention_head_dim

    @property
    def self_attentions(self) -> int:
        """How many blocks attend."""
        return self.num_layers + self.num_single_layers

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch height width channels"],
        c_noise: Float[Array, "batch *numbers"],
        context: Context | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "batch height width outputs"]:
        """Returns the network's raw prediction; `deterministic` decides nothing."""
        checks.picture_fits(OWNER, x.shape, PACKED, "the latents of a token")
        rows, columns = x.shape[1] // PACKED, x.shape[2] // PACKED
        tokens = packed(x.astype(self.dtype), PACKED)
        h = Dense(self.width, dtype=self.dtype, name="x_embedder")(tokens)
        condition = self._condition(c_noise, context)
        words, mask = None, None
        if context is not None:
            mask = context.mask
            words = Dense(self.width, dtype=self.dtype, name="context_embedder")(context.tokens)
        turn = self._rotation(0 if words is None else words.shape[1], rows, columns)
        attention = self.num_attention_heads, self.attention_head_dim, self.dtype
        double = rematerialised(MMDiTBlock) if self.remat else MMDiTBlock
        for i in range(self.num_layers):
            block = double(
                *attention,
                self.attention_implementation,
                True,
                is_perturbed(i, self.perturbed),
                False,
                False,
                name=f"transformer_blocks.{i}",
            )
            h, words = block(h, words, mask, condition, turn, deterministic)
        length = 0 if words is None else words.shape[1]
        h = h if words is None else jnp.concatenate([words, h], axis=1)
        single = rematerialised(FluxSingleBlock) if self.remat else FluxSingleBlock
        for i in range(self.num_single_layers):
            perturbed = is_perturbed(self.num_layers + i, self.perturbed)
            name = f"single_transformer_blocks.{i}"
            allowed = joint_mask(mask, length, rows * columns, perturbed)
            block = single(*attention, self.attention_implementation, name=name)
            h = block(h, allowed, condition, turn, deterministic)
        h = last_norm(h[:, length:], condition, self.dtype)
        features = self.out_channels or self.outputs * tokens.shape[-1]
        h = ZeroDense(features, dtype=self.dtype, name="proj_out")(h)
        return unpacked(h, rows, PACKED).astype(wide(self.dtype))

    def _condition(
        self, c_noise: Float[Array, "batch *numbers"], context: Context | None
    ) -> Vector:
        guidance = None
        if self.guidance_embeds:
            numbers = None if context is None else context.numbers
            if numbers is None or numbers.shape[-1] != 1:
                raise UserError(
                    f"{OWNER} with guidance_embeds is told a guidance scale in context.numbers, "
                    "and it is not there."
                )
            guidance = GUIDANCE * numbers[:, 0]
        embed = TextAndTime(self.width, self.dtype, name="time_text_embed")
        return embed(c_noise, None if context is None else context.pooled, guidance)

    def _rotation(self, words: int, rows: int, columns: int) -> Rotation:
        """Words are at (0, 0, 0), patches at (0, row, column)."""
        places = np.zeros((words + rows * columns, 3))
        places[words:, 1:] = grid_places(rows, columns)
        return rotation(places, self.axes_dims_rope)


class FluxSingleBlock(nn.Module):
    """Attention and a GELU layer side by side, over text and picture as one sequence."""

    heads: int
    head_width: int
    dtype: str
    attention_implementation: str

    @nn.compact
    def __call__(
        self,
        h: Tokens,
        allowed: Bool[Array, "..."] | None,
        condition: Vector,
        rotation: Rotation,
        deterministic: bool,
    ) -> Tokens:
        width = h.shape[-1]
        shift, scale, gate = modulations(condition, 3, self.dtype, "norm.linear")
        hidden = modulate(layer_norm(EPSILON, self.dtype)(h), shift, scale)

        def project(name: str) -> Float[Array, "batch rows heads head"]:
            dense = Dense(self.heads * self.head_width, dtype=self.dtype, name=f"attn.to_{name}")
            part = dense(hidden).reshape(*h.shape[:2], self.heads, self.head_width)
            if name == "v":
                return part
            norm = nn.RMSNorm(EPSILON, dtype=self.dtype, name=f"attn.norm_{name}")
            return rotated(norm(part), rotation)

        query, key, value = map(project, "qkv")
        mixed = attend(query, key, value, allowed, self.attention_implementation)
        layer = nn.gelu(Dense(MLP_RATIO * width, dtype=self.dtype, name="proj_mlp")(hidden))
        both = jnp.concatenate([mixed.reshape(*h.shape[:2], -1), layer], axis=-1)
        return h + gate[:, None] * Dense(width, dtype=self.dtype, name="proj_out")(both)
