"""U-Net: residual convolutions on coarser and coarser grids and back, with attention to text."""

import functools
import itertools

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import one_of
from diffusion_jax.networks import checks
from diffusion_jax.networks.attention import Attention, is_perturbed
from diffusion_jax.networks.base import networks
from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.networks.convolution import convolve
from diffusion_jax.networks.embeddings import NoiseEmbedding
from diffusion_jax.networks.initializers import Dense, fan_in_normal
from diffusion_jax.networks.patches import from_patches, to_patches
from diffusion_jax.networks.rematerialise import rematerialised

Grid = Float[Array, "batch height width channels"]
Features = Float[Array, "batch height width features"]
Embedding = Float[Array, "batch embedding"]


@networks.register("unet")
class UNet(nn.Module):
    """U-Net with adaptive group norm, self-attention and cross-attention to text.

    Level i has channels[i] channels on a grid of size / (patch 2^i). Down and up the levels,
    each block is a residual block, followed by attention where the level is in `attention`;
    every block down hands its result to the matching block up.

    Source: Ho et al. 2020, appendix B; adaptive group norm from Dhariwal & Nichol 2021,
    sec. 3; a space-to-depth stem (patch > 1) trades resolution for channels as in Hoogeboom
    et al. 2023, sec. 3.

    Attributes:
        channels: channels of each level, finest first.
        blocks: residual blocks per level, down and up alike.
        attention: levels (0 is the finest) that attend to themselves and to the text.
        patch: side of the squares of pixels that the stem folds into channels.
        head_width: features of an attention head.
        dropout: fraction of activations dropped in each residual block while training.
        remat: compute each block again in the backward pass rather than keep what it computed:
            a third more work, and less memory.
        attention_implementation: as of a `DiT`.
        convolution: "direct", or "winograd" for 3 × 3 convolutions by fewer multiplications where
            that is faster, see `convolution`; the result differs by rounding.
        perturbed: self-attentions, numbered from 0 in the order of stages, whose map is the
            identity; () is all, None none. For guidance; the parameters are the same.
        outputs: channels of the result for each channel of x; 2 with a variance.
        dtype: dtype of the computation; parameters and result are float32.

    Raises:
        UserError: a setting that cannot work, or a picture whose sides are not multiples of
            patch 2^(levels - 1).

    >>> import jax
    >>> network = UNet(channels=(8, 16), blocks=1, head_width=8)
    >>> x, c_noise = jnp.zeros((1, 8, 8, 3)), jnp.zeros(1)
    >>> jax.eval_shape(network.init_with_output, jax.random.key(0), x, c_noise)[0].shape
    (1, 8, 8, 3)
    """

    channels: tuple[int, ...] = (64, 128)
    blocks: int = 2
    attention: tuple[int, ...] = (1,)
    patch: int = 1
    head_width: int = 32
    dropout: float = 0.0
    remat: bool = False
    attention_implementation: str = "xla"
    convolution: str = "direct"
    perturbed: tuple[int, ...] | None = None
    outputs: int = 1
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.channel_tuple("unet", self.channels)
        checks.positive_integers(
            "unet", blocks=self.blocks, patch=self.patch, head_width=self.head_width
        )
        checks.positive_integers("unet", outputs=self.outputs)
        checks.fraction("unet", dropout=self.dropout)
        checks.levels("unet", self.attention, len(self.channels))
        checks.switch("unet", remat=self.remat)
        attending = [self.channels[level] for level in self.attention]
        widths = [channels // head_count(channels, self.head_width) for channels in attending]
        checks.attention("unet", self.attention_implementation, widths, self.dtype)
        one_of(self.convolution, ("direct", "winograd"), "convolution of a unet")
        # Two convolutions in each block, down and up.
        weights = 36 * self.blocks * sum(width**2 for width in self.channels)
        checks.size("unet", 2 * self.blocks * len(self.channels), weights)

    @property
    def self_attentions(self) -> int:
        """How many there are: of each block down and up, and of the middle."""
        middle = len(self.channels) - 1 in self.attention
        return 2 * self.blocks * len(set(self.attention)) + middle

    @nn.compact
    def __call__(
        self,
        x: Grid,
        c_noise: Float[Array, "batch *numbers"],
        context: Context | None = None,
        deterministic: bool = True,
    ) -> Features:
        """Returns the network's raw prediction.

        Args:
            x: (batch, height, width, channels) float32, noisy pictures of about unit variance.
            c_noise: (batch,) float32, about [-2.5, 2.5], tells the noise level; (batch, numbers)
                where it is several (`ScoreNetwork.noise_inputs`).
            context: encoded captions, or None.
            deterministic: no dropout.
        """
        halvings = len(self.channels) - 1
        why = f"patch {self.patch} times 2^{halvings} for {halvings} halvings"
        checks.picture_fits("unet", x.shape, self.patch * 2**halvings, why)
        pooled = None if context is None else context.pooled
        embedding = NoiseEmbedding(4 * self.channels[0], self.dtype)(c_noise, pooled)

        kind, numbers = rematerialised(Stage) if self.remat else Stage, itertools.count()

        def stage(h: Grid, level: int, name: str) -> Features:
            attends = level in self.attention
            block = kind(
                channels=self.channels[level],
                attends=attends,
                head_width=self.head_width,
                dropout=self.dropout,
                dtype=self.dtype,
                attention_implementation=self.attention_implementation,
                convolution=self.convolution,
                perturbed=attends and is_perturbed(next(numbers), self.perturbed),
                name=name,
            )
            return block(h, embedding, context, deterministic)

        h = to_patches(x.astype(self.dtype), self.patch)
        h = conv(self.channels[0], self.dtype, "stem", self.convolution)(h)
        skips = []
        for level in range(len(self.channels)):
            if level:
                h = nn.avg_pool(h, (2, 2), (2, 2))
            for i in range(self.blocks):
                h = stage(h, level, f"down_{level}_{i}")
                skips.append(h)
        h = stage(h, halvings, "middle")
        for level in reversed(range(len(self.channels))):
            for i in range(self.blocks):
                h = jnp.concatenate([h, skips.pop()], axis=-1)
                h = stage(h, level, f"up_{level}_{i}")
            if level:
                h = jnp.repeat(jnp.repeat(h, 2, axis=1), 2, axis=2)
        h = nn.silu(group_norm(h.shape[-1], self.dtype, affine=True)(h))
        h = conv(
            self.outputs * x.shape[-1] * self.patch**2, self.dtype, "zero_out", self.convolution
        )(h)
        return from_patches(h, self.patch).astype(jnp.float32)


class Stage(nn.Module):
    """A residual block, followed by attention to the grid and to the text if `attends`.

    Attributes:
        channels: of the result.
        attends: whether attention follows.
        head_width: features of an attention head.
        dropout: share of the hidden units that are dropped while training.
        dtype: of the computation.
        attention_implementation: see `attention.attend`.
        convolution: see `convolution`.
        perturbed: whether self-attention is left out, for guidance.
    """

    channels: int
    attends: bool
    head_width: int
    dropout: float
    dtype: str
    attention_implementation: str
    convolution: str
    perturbed: bool

    @nn.compact
    def __call__(
        self, h: Grid, embedding: Embedding, context: Context | None, deterministic: bool
    ) -> Features:
        block = ResidualBlock(
            self.channels, self.dropout, self.dtype, self.convolution, name="residual"
        )
        h = block(h, embedding, deterministic)
        if self.attends:
            attention = GridAttention(
                self.head_width,
                self.dtype,
                self.attention_implementation,
                self.perturbed,
                name="attention",
            )
            h = attention(h, context)
        return h


class ResidualBlock(nn.Module):
    """h + conv(silu(scale GroupNorm(conv(silu(GroupNorm(h)))) + shift)).

    Scale and shift are linear in the embedding of noise level and text; the last convolution
    starts at zero, so that the block starts as the identity.

    Attributes:
        channels: of the result.
        dropout: share of the hidden units that are dropped while training.
        dtype: of the computation.
        convolution: see `convolution`.
    """

    channels: int
    dropout: float
    dtype: str
    convolution: str

    @nn.compact
    def __call__(self, h: Grid, embedding: Embedding, deterministic: bool) -> Features:
        modulation = Dense(2 * self.channels, dtype=self.dtype, name="modulation")(embedding)
        scale, shift = jnp.split(modulation[:, None, None], 2, axis=-1)
        hidden = nn.silu(group_norm(h.shape[-1], self.dtype, affine=True)(h))
        hidden = conv(self.channels, self.dtype, "conv", self.convolution)(hidden)
        hidden = group_norm(self.channels, self.dtype)(hidden) * (1 + scale) + shift
        hidden = nn.Dropout(self.dropout)(nn.silu(hidden), deterministic=deterministic)
        hidden = conv(self.channels, self.dtype, "zero_conv", self.convolution)(hidden)
        if h.shape[-1] != self.channels:
            h = Dense(self.channels, dtype=self.dtype, name="skip")(h)
        return h + hidden


class GridAttention(nn.Module):
    """Self-attention among the cells of a grid, then cross-attention to the words.

    Attributes:
        head_width: features of a head.
        dtype: of the computation.
        attention_implementation: see `attention.attend`.
        perturbed: whether self-attention is left out, for guidance.
    """

    head_width: int
    dtype: str
    attention_implementation: str
    perturbed: bool

    @nn.compact
    def __call__(self, h: Grid, context: Context | None) -> Grid:
        batch, height, width, channels = h.shape
        heads = head_count(channels, self.head_width)
        x = h.reshape(batch, height * width, channels)
        cells = nn.LayerNorm(dtype=self.dtype, name="self_norm")(x)
        attention = functools.partial(
            Attention,
            heads,
            zero=True,
            dtype=self.dtype,
            implementation=self.attention_implementation,
        )
        x += attention(perturbed=self.perturbed, name="self")(cells, cells)
        if context is not None:
            cells = nn.LayerNorm(dtype=self.dtype, name="cross_norm")(x)
            cross = attention(name="cross")
            x += cross(cells, context.tokens, context.mask)
        return x.reshape(h.shape)


def head_count(channels: int, head_width: int) -> int:
    """Heads of about `head_width` features."""
    return max(1, channels // head_width)


def conv(features: int, dtype: str, name: str, convolution: str) -> nn.Conv:
    """A 3x3 convolution; one whose name begins with "zero" starts at zero."""
    zero = name.startswith("zero")
    init = nn.initializers.zeros_init() if zero else fan_in_normal
    how = convolve if convolution == "winograd" else None
    return nn.Conv(
        features, (3, 3), kernel_init=init, dtype=dtype, name=name, conv_general_dilated=how
    )


def group_norm(channels: int, dtype: str, affine: bool = False) -> nn.GroupNorm:
    """Group norm over 8 groups, or fewer where groups of four channels or more need that."""
    groups = max((g for g in (2, 4, 8) if channels % g == 0 and channels >= 4 * g), default=1)
    return nn.GroupNorm(groups, use_bias=affine, use_scale=affine, dtype=dtype)
