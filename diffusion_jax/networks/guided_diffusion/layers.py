"""Layers of guided diffusion's networks, and the way down that U-Nets and classifier share.

Source: Dhariwal & Nichol 2021 (ADM), sec. 3 and 4; github.com/openai/guided-diffusion,
guided_diffusion/unet.py.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.networks import checks
from diffusion_jax.networks.attention import attend, is_perturbed
from diffusion_jax.networks.convolution import convolve
from diffusion_jax.networks.embeddings import side_by_side
from diffusion_jax.networks.rematerialise import rematerialised
from diffusion_jax.networks.resample import resample

Picture = Float[Array, "batch height width channels"]
Result = Float[Array, "batch new_height new_width features"]
Hidden = Float[Array, "batch _ _ _"]
Embedding = Float[Array, "batch embedding"]
GROUPS = 32  # of all norms
Initializer = Callable[[PRNGKeyArray, tuple[int, ...], DTypeLike], Array]


@runtime_checkable
class GuidedSettings(Protocol):
    """The settings that say what guided diffusion's networks are."""

    model_channels: int
    num_res_blocks: int
    attention_resolutions: tuple[int, ...]
    dropout: float
    channel_mult: tuple[float, ...]
    conv_resample: bool
    num_heads: int
    num_head_channels: int
    num_heads_upsample: int
    use_scale_shift_norm: bool
    resblock_updown: bool
    use_new_attention_order: bool
    remat: bool
    attention_implementation: str
    convolution: str
    perturbed: tuple[int, ...] | None
    dtype: str


@dataclasses.dataclass(frozen=True)
class GuidedStyle:
    """What the blocks of a network have in common; see the networks' own settings."""

    dropout: float
    scales: bool
    new_order: bool
    dtype: str
    attention_implementation: str
    convolution: str


def spread(inputs: int) -> Initializer:
    """Uniform within ±1/sqrt(inputs), as torch draws the layers of its networks."""
    most = 1 / math.sqrt(inputs)
    return lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -most, most)


def dense(x: Float[Array, "*batch inputs"], features: int, dtype: str, name: str) -> Array:
    """x W + b, in a layer of that name."""
    drawn = spread(x.shape[-1])
    layer = nn.Dense(features, kernel_init=drawn, bias_init=drawn, dtype=dtype, name=name)
    found: Array = layer(x)
    return found


def conv(
    x: Picture,
    features: int,
    style: GuidedStyle,
    name: str,
    side: int = 3,
    zero: bool = False,
    stride: int = 1,
) -> Result:
    """A convolution with a margin of zeros, in a layer of that name; `zero` starts at zero."""
    drawn = nn.initializers.zeros if zero else spread(side**2 * x.shape[-1])
    quick = side == 3 and stride == 1 and style.convolution == "winograd"
    layer = nn.Conv(
        features,
        (side, side),
        strides=(stride, stride),
        padding=[(side // 2, side // 2)] * 2,
        kernel_init=drawn,
        bias_init=drawn,
        dtype=style.dtype,
        conv_general_dilated=convolve if quick else None,
        name=name,
    )
    return layer(x)


def group_norm(x: Float[Array, "batch ... channels"], dtype: str, name: str) -> Array:
    """Group norm over 32 groups, in at least float32, in a layer of that name.

    Raises:
        UserError: the channels do not fall into so many groups.
    """
    checks.divides("guided diffusion", x.shape[-1], "channels", GROUPS, "the groups of its norms")
    layer = nn.GroupNorm(GROUPS, epsilon=1e-5, use_fast_variance=False, dtype=dtype, name=name)
    found: Array = layer(x)
    return found


def timestep_features(t: Float[Array, " batch"], width: int) -> Float[Array, "batch {width}"]:
    """[cos(w_k t), sin(w_k t)], w_k from 1 towards 1/10000 in geometric progression.

    Args:
        t: timesteps, which may be fractions.
        width: number of features; of an odd number the last is 0.
    """
    half = width // 2
    exponents = jnp.linspace(0, 1, half, endpoint=False, dtype=t.dtype)
    angles = t[:, None] * 1e-4**exponents
    features = jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=1)
    return jnp.pad(features, ((0, 0), (0, width % 2)))


def split_heads(
    qkv: Float[Array, "batch rows three_width"], heads: int, new_order: bool
) -> tuple[Array, Array, Array]:
    """Queries, keys and values, (batch, rows, heads, features), of one map that makes all.

    Args:
        qkv: for each row.
        heads: attention heads.
        new_order: whether all queries come first; else those of a head do.
    """
    batch, rows, three_width = qkv.shape
    if new_order:
        parts = jnp.split(qkv.reshape(batch, rows, 3 * heads, -1), 3, axis=2)
    else:
        parts = jnp.split(qkv.reshape(batch, rows, heads, three_width // heads), 3, axis=3)
    query, key, value = parts
    return query, key, value


class RowConv(nn.Module):
    """A linear map of rows, whose kernel is that of a convolution of width 1.

    Attributes:
        features: of the result.
        dtype: dtype of the computation.
        zero: whether it starts at zero.
    """

    features: int
    dtype: str
    zero: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "batch rows inputs"]) -> Float[Array, "batch rows features"]:
        first = nn.initializers.zeros if self.zero else spread(x.shape[-1])
        kernel = self.param("kernel", first, (1, x.shape[-1], self.features), jnp.float32)
        bias = self.param("bias", first, (self.features,), jnp.float32)
        return x.astype(self.dtype) @ kernel[0].astype(self.dtype) + bias.astype(self.dtype)


class GuidedBlock(nn.Module):
    """A residual block that may resample.

    Attributes:
        features: channels of the result.
        style: of the network.
        mode: of `resample`, for the branch and what passes it by.
    """

    features: int
    style: GuidedStyle
    mode: str = "keep"

    @nn.compact
    def __call__(self, x: Picture, embedding: Embedding, deterministic: bool) -> Result:
        style = self.style
        h = nn.silu(group_norm(x, style.dtype, "in_layers.0"))
        h, x = resample(h, self.mode), resample(x, self.mode)
        h = conv(h, self.features, style, "in_layers.2")
        width = self.features * (1 + style.scales)
        steer = dense(nn.silu(embedding), width, style.dtype, "emb_layers.1")[:, None, None]
        if style.scales:
            scale, shift = jnp.split(steer, 2, axis=-1)
            h = group_norm(h, style.dtype, "out_layers.0") * (1 + scale) + shift
        else:
            h = group_norm(h + steer, style.dtype, "out_layers.0")
        h = nn.Dropout(style.dropout)(nn.silu(h), deterministic=deterministic)
        h = conv(h, self.features, style, "out_layers.3", zero=True)
        if x.shape[-1] != self.features:
            x = conv(x, self.features, style, "skip_connection", side=1)
        return x + h


class GuidedAttention(nn.Module):
    """Each place looks at all places.

    Attributes:
        heads: how many.
        style: of the network.
        perturbed: whether the map of the attention is the identity.
    """

    heads: int
    style: GuidedStyle
    perturbed: bool

    @nn.compact
    def __call__(self, x: Picture) -> Picture:
        style, (batch, height, width, channels) = self.style, x.shape
        rows = group_norm(x.reshape(batch, height * width, channels), style.dtype, "norm")
        qkv = RowConv(3 * channels, style.dtype, name="qkv")(rows)
        query, key, value = split_heads(qkv, self.heads, style.new_order)
        mixed = value
        if not self.perturbed:
            mixed = attend(query, key, value, implementation=style.attention_implementation)
        mixed = mixed.reshape(batch, height * width, channels)
        mixed = RowConv(channels, style.dtype, zero=True, name="proj_out")(mixed)
        return x + mixed.reshape(x.shape)


@dataclasses.dataclass
class GuidedBlocks:
    """Makes the layers of a network, numbered as they are in its lists, and calls them.

    Attributes:
        network: whose layers they are.
        embedding: what steers the blocks.
        deterministic: no dropout.
    """

    network: GuidedSettings
    embedding: Embedding
    deterministic: bool
    attentions: int = 0  # made so far

    @property
    def style(self) -> GuidedStyle:
        """Of the network."""
        return style_of(self.network)

    def block(self, h: Picture, width: int, name: str, mode: str = "keep") -> Result:
        """A residual block."""
        kind = rematerialised(GuidedBlock) if self.network.remat else GuidedBlock
        found: Array = kind(width, self.style, mode, name=name)(
            h, self.embedding, self.deterministic
        )
        return found

    def attention(self, h: Picture, name: str, up: bool = False) -> Picture:
        """An attention."""
        perturbed = is_perturbed(self.attentions, self.network.perturbed)
        self.attentions += 1
        heads = head_count(self.network, h.shape[-1], up)
        found: Array = GuidedAttention(heads, self.style, perturbed, name=name)(h)
        return found

    def resampled(self, h: Picture, mode: str, name: str) -> Result:
        """Pictures of half or double the size, by a block, a convolution, or nothing learned."""
        network, width = self.network, h.shape[-1]
        if network.resblock_updown:
            return self.block(h, width, name, mode)
        if not network.conv_resample:
            return resample(h, mode)
        if mode == "down":
            return conv(h, width, self.style, f"{name}.op", stride=2)
        return conv(resample(h, mode), width, self.style, f"{name}.conv")

    def down(self, x: Picture) -> list[Hidden]:
        """What each entry of the way down makes of x."""
        network = self.network
        made = [conv(x, widths(network)[0], self.style, "input_blocks.0.0")]
        for level, width in enumerate(widths(network)):
            for _ in range(network.num_res_blocks):
                name = f"input_blocks.{len(made)}"
                h = self.block(made[-1], width, f"{name}.0")
                if 2**level in network.attention_resolutions:
                    h = self.attention(h, f"{name}.1")
                made.append(h)
            if level < len(network.channel_mult) - 1:
                made.append(self.resampled(made[-1], "down", f"input_blocks.{len(made)}.0"))
        return made

    def middle(self, h: Picture) -> Picture:
        """The coarsest level."""
        h = self.block(h, h.shape[-1], "middle_block.0")
        h = self.attention(h, "middle_block.1")
        return self.block(h, h.shape[-1], "middle_block.2")


def embedded(c_noise: Float[Array, "batch *numbers"], network: GuidedSettings) -> Embedding:
    """The embedding of timesteps, in at least float32."""

    def features(t: Float[Array, " rows"]) -> Float[Array, "rows width"]:
        return timestep_features(t, network.model_channels)

    dtype, wide = at_least_single(network.dtype), 4 * network.model_channels
    hidden = dense(side_by_side(features, c_noise).astype(dtype), wide, dtype, "time_embed.0")
    return dense(nn.silu(hidden), wide, dtype, "time_embed.2")


def at_least_single(dtype: str) -> str:
    """That dtype, or float32 if it has fewer digits: of what is not computed in half precision.

    >>> at_least_single("bfloat16"), at_least_single("float64")
    ('float32', 'float64')
    """
    return str(jnp.promote_types(jnp.float32, dtype))


def head_count(network: GuidedSettings, channels: int, up: bool = False) -> int:
    """Attention heads of a layer with so many channels, on the way up or not."""
    if network.num_head_channels != -1:
        return channels // network.num_head_channels
    return (
        network.num_heads_upsample if up and network.num_heads_upsample != -1 else network.num_heads
    )


def style_of(network: GuidedSettings) -> GuidedStyle:
    """What the blocks of a network have in common."""
    return GuidedStyle(
        network.dropout,
        network.use_scale_shift_norm,
        network.use_new_attention_order,
        network.dtype,
        network.attention_implementation,
        network.convolution,
    )


def widths(network: GuidedSettings) -> list[int]:
    """The channels of each level, finest first."""
    return [int(multiple * network.model_channels) for multiple in network.channel_mult]


def attending(network: GuidedSettings) -> int:
    """How many levels attend."""
    rates = (2**level for level in range(len(network.channel_mult)))
    return sum(rate in network.attention_resolutions for rate in rates)


def check_guided(owner: str, network: GuidedSettings) -> None:
    """Raises UserError for settings that cannot work."""
    counts = {name: getattr(network, name) for name in ("model_channels", "num_res_blocks")}
    checks.positive_integers(owner, **counts, num_heads=network.num_heads)
    if not network.channel_mult or min(network.channel_mult) <= 0:
        raise UserError(
            f"{owner}: channel_mult must be a tuple with a positive number for each level such as "
            f"(1, 2), got {network.channel_mult!r}."
        )
    for width in widths(network):
        checks.divides(owner, width, "channels of a level", GROUPS, "the groups of its norms")
    if network.num_head_channels != -1:
        checks.positive_integers(owner, num_head_channels=network.num_head_channels)
    if network.num_heads_upsample != -1:
        checks.positive_integers(owner, num_heads_upsample=network.num_heads_upsample)
    coarsest = len(network.channel_mult) - 1
    each = []
    for level, width in enumerate(widths(network)):
        if 2**level in network.attention_resolutions or level == coarsest:
            for up in (False, True):
                heads = head_count(network, width, up)
                parts = heads or network.num_head_channels
                checks.divides(owner, width, "channels of a level", parts, "the attention heads")
                each.append(width // heads)
    checks.attention(owner, network.attention_implementation, each, network.dtype)
    checks.fraction(owner, dropout=network.dropout)
    names = "conv_resample", "use_scale_shift_norm", "resblock_updown", "use_new_attention_order"
    checks.switch(owner, **{name: getattr(network, name) for name in (*names, "remat")})
    one_of(network.convolution, ("direct", "winograd"), f"convolution of a {owner}")
    weights = 36 * network.num_res_blocks * sum(width**2 for width in widths(network))
    checks.size(owner, 2 * network.num_res_blocks * len(network.channel_mult), weights)
