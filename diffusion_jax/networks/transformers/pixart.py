"""PixArt-alpha and PixArt-Sigma: one modulation for all blocks, and attention to a caption."""

from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from diffusion_jax.errors import UserError
from diffusion_jax.networks import checks
from diffusion_jax.networks.attention import is_perturbed
from diffusion_jax.networks.base import networks
from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.networks.configurations import ANY, rows, told
from diffusion_jax.networks.patches import from_patches
from diffusion_jax.networks.rematerialise import rematerialised
from diffusion_jax.networks.transformers.embeddings import (
    TimestepEmbedding,
    timestep_features,
    wide,
)
from diffusion_jax.networks.transformers.feed_forward import FeedForward, check_activation
from diffusion_jax.networks.transformers.layers import (
    PatchProjection,
    Tokens,
    TwoLayers,
    Vector,
    ZeroDense,
    layer_norm,
    modulate,
)
from diffusion_jax.networks.transformers.positions import sincos_table
from diffusion_jax.networks.transformers.projected_attention import ProjectedAttention

OWNER = "pixart"
LAYERS = "linear_1", "linear_2"
WITH_SIZES = 128  # the sample_size whose released network is told the size of the picture
SIZES = 3  # height and width of the picture in pixels, and their ratio


@networks.register(OWNER)
class PixArt(nn.Module):
    """PixArt's transformer, as diffusers' PixArtTransformer2DModel: adaLN-single, cross-attention.

    It is called with timesteps 0 … 999, and T5's features in `context.tokens` with their mask;
    without a context the second attention is one more self-attention. With
    `use_additional_conditions`, `context.numbers` is (height, width, height / width) in pixels. The
    released networks have the default settings, `outputs=2` and a sample_size of 32, 64 or 128.

    Source: Chen et al. 2023 (PixArt-alpha), section 2.3; Chen et al. 2024 (PixArt-Sigma);
    diffusers 0.42, pixart_transformer_2d.py. First values are those of PixArt's own PixArt.py.

    Attributes:
        num_attention_heads: attention heads.
        attention_head_dim: features of a head; the product of the two is a multiple of 4.
        num_layers: number of blocks.
        patch_size: side of a patch.
        sample_size: side of the pictures, in latents, that it was trained on: places of patches
            are stretched to it.
        interpolation_scale: divides the places; None is sample_size / 64, at least 1.
        use_additional_conditions: whether it is told the picture's size; None is only for a
            sample_size of 128.
        caption_channels: features of the caption's tokens, which pass two layers first; None is
            those of the picture's tokens, without such layers.
        dropout: fraction of activations dropped in each block while training.
        attention_bias: whether queries, keys and values have one.
        activation_fn: of the layer after attention, a name in `feed_forward.ACTIVATIONS`.
        norm_elementwise_affine: whether norms within blocks have a scale and a shift.
        norm_eps: of the norms within blocks.
        remat: compute each block again in the backward pass rather than keep what it computed.
        attention_implementation: "xla", "cudnn", "pallas" or "auto", as of `attend`.
        perturbed: self-attentions whose map is the identity; () is all, None none.
        dtype: dtype of the computation; parameters are float32.
        outputs: channels of the result for each channel of x; 2 with a variance.
        out_channels: channels of the result; None is `outputs` times those of x.

    Raises:
        UserError: a setting that cannot work, a picture whose sides are not multiples of
            patch_size, or sizes that are not told.
    """

    num_attention_heads: int = 16
    attention_head_dim: int = 72
    num_layers: int = 28
    patch_size: int = 2
    sample_size: int = 128
    interpolation_scale: float | None = None
    use_additional_conditions: bool | None = None
    caption_channels: int | None = 4096
    dropout: float = 0.0
    attention_bias: bool = True
    activation_fn: str = "gelu-approximate"
    norm_elementwise_affine: bool = False
    norm_eps: float = 1e-6
    remat: bool = False
    attention_implementation: str = "xla"
    perturbed: tuple[int, ...] | None = None
    dtype: str = "float32"
    outputs: int = 1
    out_channels: int | None = None

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
        checks.transformer(OWNER, self)
        checks.places(OWNER, self.width, self.patch_size, self.sample_size)
        checks.positive_integers(OWNER, outputs=self.outputs)
        checks.fraction(OWNER, dropout=self.dropout)
        checks.switch(
            OWNER,
            attention_bias=self.attention_bias,
            norm_elementwise_affine=self.norm_elementwise_affine,
            use_additional_conditions=self.sizes_told,
        )
        if self.sizes_told:
            name = "num_attention_heads * attention_head_dim"
            checks.divides(OWNER, self.width, name, SIZES, "with use_additional_conditions")
        check_activation(OWNER, self.activation_fn)

    @property
    def width(self) -> int:
        """Features of a token."""
        return self.num_attention_heads * self.attention_head_dim

    @property
    def self_attentions(self) -> int:
        """How many there are."""
        return self.num_layers

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
        checks.picture_fits(OWNER, x.shape, self.patch_size, "its patch_size")
        patches = PatchProjection(self.patch_size, self.width, self.dtype, name="pos_embed.proj")(x)
        rows, columns = patches.shape[1:3]
        h = patches + self._places(rows, columns).astype(self.dtype)
        h = h.reshape(len(x), rows * columns, self.width)
        embedded = self._embedded(c_noise, context)
        small = nn.initializers.normal(0.02)
        dense = nn.Dense(
            6 * self.width, kernel_init=small, dtype=self.dtype, name="adaln_single.linear"
        )
        steer = dense(nn.silu(embedded)).reshape(len(x), 6, self.width)
        words, mask = self._words(context)
        kind = rematerialised(PixArtBlock) if self.remat else PixArtBlock
        for i in range(self.num_layers):
            block = kind(
                self.num_attention_heads,
                self.attention_head_dim,
                self.dropout,
                self.attention_bias,
                self.activation_fn,
                self.norm_elementwise_affine,
                self.norm_eps,
                self.dtype,
                self.attention_implementation,
                is_perturbed(i, self.perturbed),
                name=f"transformer_blocks.{i}",
            )
            h = block(h, steer, words, mask, deterministic)
        table = self.param("scale_shift_table", _table, (2, self.width)).astype(self.dtype)
        shift, scale = jnp.moveaxis(table + embedded[:, None], 1, 0)
        h = modulate(layer_norm(1e-6, self.dtype)(h), shift, scale)
        channels = self.patch_size**2 * (self.out_channels or self.outputs * x.shape[-1])
        h = ZeroDense(channels, dtype=self.dtype, name="proj_out")(h)
        h = h.reshape(len(x), rows, columns, channels)
        return from_patches(h, self.patch_size).astype(wide(self.dtype))

    def _places(self, rows: int, columns: int) -> Array:
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


class PixArtBlock(nn.Module):
    """Self-attention, attention to the caption, and a layer; all but the second are steered."""

    heads: int
    head_width: int
    dropout: float
    attention_bias: bool
    activation: str
    affine: bool
    epsilon: float
    dtype: str
    attention_implementation: str
    perturbed: bool

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

        def attention(name: str, perturbed: bool, zero: bool) -> ProjectedAttention:
            settings = self.heads, self.head_width, self.dtype, self.attention_implementation
            use = self.attention_bias, perturbed, self.dropout, zero
            return ProjectedAttention(*settings, *use, name=name)

        norm = layer_norm(self.epsilon, self.dtype, self.affine, name="norm1")
        hidden = modulate(norm(h), parts[0], parts[1])
        within = attention("attn1", self.perturbed, False)
        h += parts[2][:, None] * within(hidden, None, None, deterministic)
        h += attention("attn2", False, True)(h, words, mask, deterministic)
        norm = layer_norm(self.epsilon, self.dtype, self.affine, name="norm2")
        hidden = modulate(norm(h), parts[3], parts[4])
        layer = FeedForward(self.activation, self.dtype, self.dropout, name="ff")
        return h + parts[5][:, None] * layer(hidden, deterministic)


def _table(key: Array, shape: tuple[int, int], dtype: str = "float32") -> Array:
    """N(0, 1/width), as the original draws what is learnt besides the modulation."""
    return nn.initializers.normal(shape[1] ** -0.5)(key, shape, dtype)
