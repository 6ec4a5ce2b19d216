"""Blocks of DC-AE: sizes change by moving pixels into channels, attention is linear."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.networks.layers import Conv, Linear, activation
from diffusion_jax.networks.unet2d.resampling import doubled

Grid = Float[Array, "batch height width channels"]
Result = Float[Array, "batch new_height new_width features"]

EPSILON = 1e-5  # of norms
ATTENTION_EPSILON = 1e-15
SIDE = 2  # by which sizes change
NORMS = ("rms_norm", "batch_norm")


def unshuffled(x: Grid) -> Result:
    """Half the size: squares of two by two as channels, each channel's four in a row.

    >>> unshuffled(jnp.arange(4.0).reshape(1, 2, 2, 1)).ravel().tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    batch, height, width, channels = x.shape
    squares = x.reshape(batch, height // SIDE, SIDE, width // SIDE, SIDE, channels)
    return squares.transpose(0, 1, 3, 5, 2, 4).reshape(
        batch, height // SIDE, width // SIDE, channels * SIDE**2
    )


def shuffled(x: Grid) -> Result:
    """Double the size: the inverse of `unshuffled`."""
    batch, height, width, channels = x.shape
    squares = x.reshape(batch, height, width, channels // SIDE**2, SIDE, SIDE)
    return squares.transpose(0, 1, 4, 2, 5, 3).reshape(
        batch, height * SIDE, width * SIDE, channels // SIDE**2
    )


def averaged(x: Grid, channels: int) -> Result:
    """Means of neighbouring channels, so that so many are left."""
    return x.reshape(*x.shape[:-1], channels, -1).mean(axis=-1)


def repeated(x: Grid, channels: int) -> Result:
    """Each channel several times in a row, so that there are so many."""
    return jnp.repeat(x, channels // x.shape[-1], axis=-1)


class BiasedRMSNorm(nn.Module):
    """x/sqrt(mean(x²) + epsilon) scale + bias, over channels.

    Source: Zhang & Sennrich 2019 (RMSNorm), eq. 4, with a bias.

    Attributes:
        dtype: of the result; the mean is taken at least in float32.
    """

    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Grid) -> Grid:
        wide = x.astype(jnp.promote_types(jnp.float32, x.dtype))
        normed = wide * jax.lax.rsqrt(jnp.mean(wide**2, axis=-1, keepdims=True) + EPSILON)
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:])
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:])
        return (normed * scale + bias).astype(self.dtype)


class CountedNorm(nn.Module):
    """(x - mean)/sqrt(variance + epsilon) scale + bias, with statistics counted in training.

    No gradient reaches the statistics.

    Source: Ioffe & Szegedy 2015 (batch normalization), algorithm 2.

    Attributes:
        dtype: of the result.
    """

    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Grid) -> Grid:
        wide, shape = x.astype(jnp.promote_types(jnp.float32, x.dtype)), x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        mean = self.param("running_mean", nn.initializers.zeros, shape)
        variance = self.param("running_var", nn.initializers.ones, shape)
        mean, variance = (jax.lax.stop_gradient(each) for each in (mean, variance))
        normed = (wide - mean) / jnp.sqrt(variance + EPSILON)
        return (normed * scale + bias).astype(self.dtype)


def norm(kind: str, dtype: str, name: str) -> nn.Module:
    """A norm of `NORMS`."""
    return {"rms_norm": BiasedRMSNorm, "batch_norm": CountedNorm}[kind](dtype, name=name)


class DownShuffle(nn.Module):
    """A convolution at half the size; plus the pixels themselves, as means of channels.

    Source: Chen et al. 2024 (DC-AE), section 3.2 (residual autoencoding).

    Attributes:
        features: channels of the result.
        shuffles: whether pixels become channels; else the convolution has stride 2.
        shortcut: whether the pixels are added.
        dtype: dtype of the computation.
    """

    features: int
    shuffles: bool
    shortcut: bool
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Grid) -> Result:
        if self.shuffles:
            conv = Conv(self.features // SIDE**2, dtype=self.dtype, name="conv")
            h = unshuffled(conv(x))
        else:
            h = Conv(self.features, stride=SIDE, padding=1, dtype=self.dtype, name="conv")(x)
        return h + averaged(unshuffled(x), self.features) if self.shortcut else h


class UpShuffle(nn.Module):
    """A convolution at double the size; plus the cells themselves, several times.

    Attributes:
        features: channels of the result.
        shuffles: whether channels become pixels; else each cell is four before the convolution.
        shortcut: whether the cells are added.
        dtype: dtype of the computation.
    """

    features: int
    shuffles: bool
    shortcut: bool
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Grid) -> Result:
        if self.shuffles:
            conv = Conv(self.features * SIDE**2, dtype=self.dtype, name="conv")
            h = shuffled(conv(x))
        else:
            h = Conv(self.features, dtype=self.dtype, name="conv")(doubled(x))
        return h + shuffled(repeated(x, self.features * SIDE**2)) if self.shortcut else h


class ConvBlock(nn.Module):
    """x + norm(conv2(act(conv1(x)))).

    Attributes:
        norm: one of `NORMS`.
        act: activation.
        dtype: dtype of the computation.
    """

    norm: str
    act: str
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Grid) -> Grid:
        h = activation(self.act)(Conv(x.shape[-1], dtype=self.dtype, name="conv1")(x))
        h = Conv(x.shape[-1], use_bias=False, dtype=self.dtype, name="conv2")(h)
        return x + norm(self.norm, self.dtype, "norm")(h)


class EfficientViTBlock(nn.Module):
    """Linear attention at several scales, then a gated convolution.

    Source: Cai et al. 2022 (EfficientViT), section 3; Xie et al. 2024 (Sana), section 2.2, for the
    gated one.

    Attributes:
        head_width: features of a head.
        scales: sides of the kernels that mix queries, keys and values of neighbours.
        norm: one of `NORMS`, of attention.
        dtype: dtype of the computation.
    """

    head_width: int
    scales: tuple[int, ...]
    norm: str
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Grid) -> Grid:
        attention = LinearAttention(
            self.head_width, self.scales, self.norm, self.dtype, name="attn"
        )
        return GatedConv(self.dtype, name="conv_out")(attention(x))


class LinearAttention(nn.Module):
    """x + norm(W o), o = q' (sum k v')/q' (sum k) with q, k after a ReLU, in each head.

    Heads are cut from queries, keys and values that stand one after the other in channels, which
    is not what their names say; the original does so. Attributes as of an `EfficientViTBlock`.

    Source: Katharopoulos et al. 2020 (transformers are RNNs), eq. 5; Cai et al. 2022, section 3.1.
    """

    head_width: int
    scales: tuple[int, ...]
    norm: str
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Grid) -> Grid:
        batch, height, width, channels = x.shape
        heads = channels // self.head_width
        inner = heads * self.head_width
        linears = [
            Linear(inner, use_bias=False, dtype=self.dtype, name=f"to_{part}") for part in "qkv"
        ]
        every = [jnp.concatenate([linear(x) for linear in linears], axis=-1)]
        for i, side in enumerate(self.scales):
            mixed = Neighbours(heads, side, self.dtype, name=f"to_qkv_multiscale.{i}")
            every.append(mixed(every[0]))
        wide = jnp.promote_types(jnp.float32, self.dtype)
        rows = jnp.concatenate(every, axis=-1).astype(wide)
        rows = rows.reshape(batch, height * width, -1, 3, self.head_width)
        query, key = (nn.relu(rows[:, :, :, part]) for part in (0, 1))
        sums = jnp.einsum("bnhk,bnhv->bhkv", key, rows[:, :, :, 2])
        weights = jnp.einsum("bnhk,bhk->bnh", query, key.sum(axis=1))
        told = jnp.einsum("bnhk,bhkv->bnhv", query, sums)
        told = told / (weights + ATTENTION_EPSILON)[..., None]
        flat = told.reshape(batch, height, width, -1).astype(self.dtype)
        out = Linear(channels, use_bias=False, dtype=self.dtype, name="to_out")(flat)
        return x + norm(self.norm, self.dtype, "norm_out")(out)


class Neighbours(nn.Module):
    """A convolution of each channel by itself, then one of each head's features.

    Attributes:
        heads: how many.
        side: of the first kernel.
        dtype: dtype of the computation.
    """

    heads: int
    side: int
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Grid) -> Grid:
        channels = x.shape[-1]
        around = (self.side // 2, self.side // 2)
        each = Conv(
            channels,
            self.side,
            padding=around,
            groups=channels,
            use_bias=False,
            dtype=self.dtype,
            name="proj_in",
        )
        within = Conv(
            channels, 1, groups=3 * self.heads, use_bias=False, dtype=self.dtype, name="proj_out"
        )
        return within(each(x))


class GatedConv(nn.Module):
    """x + norm(W (v silu(g))), (v, g) by a convolution of four times the channels.

    Source: Xie et al. 2024 (Sana), section 2.2 (Mix-FFN).

    Attributes:
        dtype: dtype of the computation.
    """

    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Grid) -> Grid:
        channels, hidden = x.shape[-1], 8 * x.shape[-1]
        h = nn.silu(Conv(hidden, 1, dtype=self.dtype, name="conv_inverted")(x))
        h = Conv(hidden, groups=hidden, dtype=self.dtype, name="conv_depth")(h)
        value, gate = jnp.split(h, 2, axis=-1)
        point = Conv(channels, 1, use_bias=False, dtype=self.dtype, name="conv_point")
        return x + BiasedRMSNorm(self.dtype, name="norm")(point(value * nn.silu(gate)))
