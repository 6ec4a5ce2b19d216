"""Stable Diffusion 3 and 3.5: MM-DiT, a stream for the picture and one for the text."""

from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.networks import checks
from diffusion_jax.networks.attention import is_perturbed
from diffusion_jax.networks.base import networks
from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.networks.configurations import ANY, rows, told
from diffusion_jax.networks.rematerialise import rematerialised
from diffusion_jax.networks.transformers.diffusers_layout import PatchTransformer
from diffusion_jax.networks.transformers.embeddings import TextAndTime
from diffusion_jax.networks.transformers.layers import Dense
from diffusion_jax.networks.transformers.mmdit_block import MMDiTBlock, last_norm
from diffusion_jax.networks.transformers.positions import sincos_table

OWNER = "sd3"


@networks.register(OWNER)
class SD3(PatchTransformer):
    """MM-DiT of Stable Diffusion 3 and 3.5, as diffusers' SD3Transformer2DModel.

    It is called with 1000 t, t from 0 for data to 1 for noise, with the features of CLIP and T5 in
    `context.tokens` and CLIP's pooled vectors in `context.pooled`; without a context there is the
    picture alone. Words that the mask leaves out are not seen; the original sees all. The table of
    places is cut from the middle of a larger one, which is a parameter, as released files have
    their own.

    Source: Esser et al. 2024, Scaling Rectified Flow Transformers for High-Resolution Image
    Synthesis, section 4; diffusers 0.42, transformer_sd3.py. First values are those of DiT.

    Attributes:
        sample_size: side of the pictures, in latents, for which places are 0, 1, 2, ….
        pos_embed_max_size: patches along a side of the table of places.
        dual_attention_layers: blocks in which the picture attends to itself besides.
        qk_norm: "rms_norm" of queries and keys, or None.
        perturbed: blocks in which a row of the picture looks at itself and the text alone; () is
            all, None none.
        others: as of a `PatchTransformer`.

    Raises:
        UserError: a setting that cannot work, or a picture whose sides are not multiples of
            patch_size or exceed the table.
    """

    num_attention_heads: int = 18
    attention_head_dim: int = 64
    num_layers: int = 18
    sample_size: int = 128
    pos_embed_max_size: int = 96
    dual_attention_layers: tuple[int, ...] = ()
    qk_norm: str | None = None

    owner: ClassVar[str] = OWNER
    original: ClassVar[str] = "SD3Transformer2DModel"
    fixed: ClassVar[dict[str, object]] = {
        "in_channels": ANY,  # those of the pictures that it is given
        "joint_attention_dim": ANY,  # as many as the context's tokens have
        "pooled_projection_dim": ANY,  # as many as the context's pooled vector has
        "caption_projection_dim": ANY,  # the width
    }

    @nn.nowrap
    def example(self, configuration: Mapping[str, Any]) -> tuple[Any, ...]:
        """Shapes of the inputs of a call."""
        side, told_of = self.patch_size, configuration.get
        text = told(told_of("joint_attention_dim", 4096), told_of("pooled_projection_dim", 2048))
        return rows(side, side, told_of("in_channels", 16)), rows(), text

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive_integers(OWNER, pos_embed_max_size=self.pos_embed_max_size)
        if self.qk_norm is not None:
            one_of(self.qk_norm, ("rms_norm",), f"qk_norm of a {OWNER}")
        if any(layer not in range(self.num_layers) for layer in self.dual_attention_layers):
            raise UserError(
                f"{OWNER}: dual_attention_layers must be among the blocks 0 to "
                f"{self.num_layers - 1}, got {self.dual_attention_layers}."
            )

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch height width channels"],
        c_noise: Float[Array, "batch *numbers"],
        context: Context | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "batch height width outputs"]:
        """Returns the network's raw prediction; `deterministic` decides nothing."""
        h, sides = self._patched(x, self._places)
        embed = TextAndTime(self.width, self.dtype, name="time_text_embed")
        condition = embed(c_noise, None if context is None else context.pooled)
        words, mask = None, None
        if context is not None:
            mask = context.mask
            words = Dense(self.width, dtype=self.dtype, name="context_embedder")(context.tokens)
        kind = rematerialised(MMDiTBlock) if self.remat else MMDiTBlock
        for i in range(self.num_layers):
            block = kind(
                self.num_attention_heads,
                self.attention_head_dim,
                self.dtype,
                self.attention_implementation,
                self.qk_norm is not None,
                is_perturbed(i, self.perturbed),
                i in self.dual_attention_layers,
                i == self.num_layers - 1,
                name=f"transformer_blocks.{i}",
            )
            h, words = block(h, words, mask, condition, None, deterministic)
        h = last_norm(h, condition, self.dtype)
        return self._picture(h, sides, x.shape[-1], "proj_out")

    def _places(self, rows: int, columns: int) -> Float[Array, "rows columns width"]:
        """The middle of the table."""
        side, width = self.pos_embed_max_size, self.width
        if max(rows, columns) > side:
            most = side * self.patch_size
            raise UserError(
                f"{OWNER} cannot take {rows * self.patch_size}x{columns * self.patch_size} "
                f"pictures: its table of places ends at {most}x{most} (pos_embed_max_size={side})."
            )

        def first(key: PRNGKeyArray, shape: tuple[int, ...]) -> Array:
            base = self.sample_size // self.patch_size
            return jnp.asarray(sincos_table(side, side, width, base)).reshape(shape)

        table = jnp.asarray(self.param("pos_embed.pos_embed", first, (1, side**2, width)))
        top, left = (side - rows) // 2, (side - columns) // 2
        return table.reshape(side, side, width)[top : top + rows, left : left + columns]
