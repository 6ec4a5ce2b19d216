"""PixArt-alpha and PixArt-Sigma: one modulation for all blocks, and attention to a caption."""

from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from diffusion_jax.errors import UserError
from diffusion_jax.networks import checks
from diffusion_jax.networks.base import networks
from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.networks.configurations import ANY, rows, told
from diffusion_jax.networks.transformers.diffusers_layout import (
    SteeredBlock,
    SteeredTransformer,
    Table,
)
from diffusion_jax.networks.transformers.embeddings import (
    TimestepEmbedding,
    timestep_features,
)
from diffusion_jax.networks.transformers.layers import (
    Tokens,
    TwoLayers,
    Vector,
    layer_norm,
    modulate,
)
from diffusion_jax.networks.transformers.positions import sincos_table

OWNER = "pixart"
LAYERS = "linear_1", "linear_2"
WITH_SIZES = 128  # the sample_size whose released network is told the size of the picture
SIZES = 3  # height and width of the picture in pixels, and their ratio


@networks.register(OWNER)
class PixArt(SteeredTransformer):
    """PixArt's transformer, as diffusers' PixArtTransformer2DModel: adaLN-single, cross-attention.

    It is called with timesteps 0 … 999, and T5's features in `context.tokens` with their mask;
    without a context the second attention is one more self-attention. With
    `use_additional_conditions`, `context.numbers` is (height, width, height / width) in pixels. The
    released networks have the default settings, `outputs=2` and a sample_size of 32, 64 or 128.

    Source: Chen et al. 2023 (PixArt-alpha), section 2.3; Chen et al. 2024 (PixArt-Sigma);
    diffusers 0.42, pixart_transformer_2d.py. First values are those of PixArt's own PixArt.py.

    Attributes:
        sample_size: side of the pictures, in latents, that it was trained on: places of patches
            are stretched to it.
        interpolation_scale: divides the places; None is sample_size / 64, at least 1.
        use_additional_conditions: whether it is told the picture's size; None is only for a
            sample_size of 128.
        caption_channels: features of the caption's tokens, which pass two layers first; None is
            those of the picture's tokens, without such layers.
        others: as of a `SteeredTransformer`.

    Raises:
        UserError: a setting that cannot work, a picture whose sides are not multiples of
            patch_size, or sizes that are not told.
    """

    sample_size: int = 128
    interpolation_scale: float | None = None
    use_additional_conditions: bool | None = None
    caption_channels: int | None = 4096
    norm_eps: float = 1e-6

    owner: ClassVar[str] = OWNER
    original: ClassVar[str] = "PixArtTransformer2DModel"
    fixed: ClassVar[dict[str, object]] = {
        "norm_type": "ada_norm_single",
        "attention_type": "default",
        "in_channels": ANY,  # those of the pictures that it is given
        "cross_attention_dim": ANY,  # the width
        "num_embeds_ada_norm": ANY,  # of another norm_type
        "norm_num_groups": ANY,  # as its neighbour above
        "upcast_attention": ANY,  # the softmax is always at least in float32
    }

    @nn.nowrap
    def example(self, configuration: Mapping[str, Any]) -> tuple[Any, ...]:
        """Shapes of the inputs of a call."""
        x = rows(self.sample_size, self.sample_size, configuration.get("in_channels", 4))
        text = self.caption_channels or self.width
        return x, rows(), told(tokens=text, numbers=SIZES if self.sizes_told else 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.switch(OWNER, use_additional_conditions=self.sizes_told)
        if self.sizes_told:
            name = "num_attention_heads * attention_head_dim"
            checks.divides(OWNER, self.width, name, SIZES, "with use_additional_conditions")

    @property
    def sizes_told(self) -> bool:
        """Whether it is told the picture's size."""
        told = self.use_additional_conditions
        return self.sample_size == WITH_SIZES if told is None else told

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch height width channels"],
        c_noise: Float[Array, "batch *numbers"],
        context: Context | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "batch height width outputs"]:
        """Returns the network's raw prediction; arguments as in `UNet`."""
        h, sides = self._patched(x, self._places)
        embedded = self._embedded(c_noise, context)
        small = nn.initializers.normal(0.02)
        dense = nn.Dense(
            6 * self.width, kernel_init=small, dtype=self.dtype, name="adaln_single.linear"
        )
        steer = dense(nn.silu(embedded)).reshape(len(x), 6, self.width)
        words, mask = self._words(context)
        for i in range(self.num_layers):
            h = self._block(PixArtBlock, i)(h, steer, words, mask, deterministic)
        table = self.param("scale_shift_table", _table, (2, self.width)).astype(self.dtype)
        shift, scale = jnp.moveaxis(table + embedded[:, None], 1, 0)
        h = modulate(layer_norm(1e-6, self.dtype)(h), shift, scale)
        return self._picture(h, sides, x.shape[-1], "proj_out")

    def _places(self, rows: int, columns: int) -> Table:
        scale = self.interpolation_scale
        scale = max(self.sample_size // 64, 1) if scale is None else scale
        base = self.sample_size // self.patch_size
        return jnp.asarray(sincos_table(rows, columns, self.width, base, scale))

    def _embedded(self, c_noise: Float[Array, "batch *numbers"], context: Context | None) -> Vector:
        """The timestep as a vector, with the picture's size if that is told."""

        def embedding(numbers: Float[Array, "many *several"], name: str, width: int) -> Array:
            features = timestep_features(numbers, dtype=self.dtype, angles="float32")
            name = f"adaln_single.emb.{name}"
            return TimestepEmbedding(width, LAYERS, self.dtype, name=name)(features)

        embedded = embedding(c_noise, "timestep_embedder", self.width)
        if not self.sizes_told:
            return embedded
        numbers = None if context is None else context.numbers
        if numbers is None or numbers.shape[-1] != SIZES:
            raise UserError(
                f"{OWNER} with use_additional_conditions is told (height, width, height / width) "
                "of the picture in context.numbers, and they are not there."
            )
        part = self.width // SIZES
        sides = embedding(numbers[:, :2].reshape(-1), "resolution_embedder", part)
        ratio = embedding(numbers[:, 2], "aspect_ratio_embedder", part)
        return embedded + jnp.concatenate([sides.reshape(len(ratio), -1), ratio], axis=1)

    def _words(
        self, context: Context | None
    ) -> tuple[Tokens | None, Bool[Array, "batch words"] | None]:
        """The caption in the width of the tokens, and which of it is there."""
        if context is None:
            return None, None
        expected = self.width if self.caption_channels is None else self.caption_channels
        checks.features_fit(OWNER, context.tokens.shape[-1], expected, "caption_channels")
        if self.caption_channels is None:
            return context.tokens.astype(self.dtype), context.mask
        name = "caption_projection"
        project = TwoLayers(self.width, LAYERS, self.dtype, width=self.width, name=name)
        return project(context.tokens), context.mask


class PixArtBlock(SteeredBlock):
    """Self-attention, attention to the caption, and a layer; all but the second are steered."""

    @nn.compact
    def __call__(
        self,
        h: Tokens,
        steer: Float[Array, "batch 6 width"],
        words: Float[Array, "batch words width"] | None,
        mask: Bool[Array, "batch words"] | None,
        deterministic: bool,
    ) -> Tokens:
        table = self.param("scale_shift_table", _table, (6, h.shape[-1])).astype(self.dtype)
        parts = jnp.moveaxis(table + steer, 1, 0)
        hidden = self._normalised(h, "norm1", parts[0], parts[1])
        within = self._attention("attn1", self.perturbed)
        h += parts[2][:, None] * within(hidden, None, None, deterministic)
        h += self._attention("attn2", False, zero=True)(h, words, mask, deterministic)
        hidden = self._normalised(h, "norm2", parts[3], parts[4])
        return h + parts[5][:, None] * self._layer(hidden, deterministic)


def _table(key: Array, shape: tuple[int, int], dtype: str = "float32") -> Array:
    """N(0, 1/width), as the original draws what is learnt besides the modulation."""
    return nn.initializers.normal(shape[1] ** -0.5)(key, shape, dtype)
