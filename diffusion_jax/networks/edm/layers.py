"""Layers of EDM's U-Nets: convolutions that resample, norms, and the residual block.

Source: Karras et al. 2022 (EDM), appendix F.2; github.com/NVlabs/edm, training/networks.py.
"""

import dataclasses
import math
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError
from diffusion_jax.networks.attention import attend
from diffusion_jax.networks.convolution import convolve
from diffusion_jax.networks.resample import filtered, resample

Picture = Float[Array, "batch height width channels"]
Result = Float[Array, "batch new_height new_width features"]
Embedding = Float[Array, "batch embedding"]
LEAST_GROUP = 4  # channels of a group of a norm, at least
MOST_GROUPS = 32


@dataclasses.dataclass(frozen=True)
class UniformInit:
    """First values, uniform: kernels of variance weight²/fan, biases of variance bias²/inputs.

    Attributes:
        fan: "fan_avg", the mean of inputs and outputs (Xavier), or "fan_in", inputs alone.
        weight: 0 for kernels of zeros.
        bias: 0 for biases of zeros.
    """

    fan: Literal["fan_avg", "fan_in"] = "fan_avg"
    weight: float = 1.0
    bias: float = 0.0

    def kernel(self) -> Any:
        """The initialiser of a kernel."""
        if self.weight == 0:
            return nn.initializers.zeros_init()
        return nn.initializers.variance_scaling(self.weight**2, self.fan, "uniform")

    def offset(self, inputs: int) -> Any:
        """The initialiser of a bias of a layer with so many inputs to each output."""
        if self.bias == 0:
            return nn.initializers.zeros_init()
        most = self.bias * math.sqrt(3 / inputs)
        return lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -most, most)


@dataclasses.dataclass(frozen=True)
class EDMStyle:
    """What the blocks of a network have in common.

    Attributes:
        dropout: fraction of activations dropped in each block while training.
        channels_per_head: features of an attention head; None is one head alone. A block with
            fewer channels has no attention.
        skip_scale: what the sum of a branch and what it passes by is multiplied by.
        eps: of the group norms.
        taps: of the filter that resamples.
        projects: whether what passes by a block that resamples goes through a 1 × 1 convolution,
            even where the number of channels stays.
        scales: whether the embedding scales and shifts the norm, or is added before it.
        init, init_last, init_attention: first values of most layers, of the last layer of a
            branch, and of queries, keys and values.
        dtype: dtype of the computation.
        attention_implementation: as of a `DiT`.
        convolution: as of a `UNet`.
    """

    dropout: float
    channels_per_head: int | None
    skip_scale: float
    eps: float
    taps: tuple[float, ...]
    projects: bool
    scales: bool
    init: UniformInit
    init_last: UniformInit
    init_attention: UniformInit
    dtype: str
    attention_implementation: str
    convolution: str

    def heads(self, channels: int) -> int:
        """Attention heads of a block with so many channels."""
        return 1 if self.channels_per_head is None else channels // self.channels_per_head


def linear(
    x: Float[Array, "*batch inputs"],
    features: int,
    init: UniformInit,
    dtype: str,
    name: str,
    bias: bool = True,
) -> Float[Array, "*batch {features}"]:
    """x W + b, or x W, in a layer of that name."""
    first = init.kernel(), init.offset(x.shape[-1])
    layer = nn.Dense(
        features, kernel_init=first[0], bias_init=first[1], use_bias=bias, dtype=dtype, name=name
    )
    return layer(x)


def convolution(
    x: Picture,
    features: int,
    side: int,
    init: UniformInit,
    style: EDMStyle,
    name: str,
    mode: str = "keep",
    fused: bool = False,
) -> Result:
    """A convolution of pictures that are resampled before it, in a layer of that name.

    Args:
        x: pictures.
        features: channels of the result.
        side: of the kernel, 1 or 3.
        init: its first values.
        style: of the network.
        name: of the layer.
        mode: of `resample`.
        fused: filter after the convolution, which then sees more of the margin; for "down".
    """
    margin = side // 2 + (len(style.taps) - 1) // 2 if fused else side // 2
    if not fused:
        x = resample(x, mode, style.taps)
    quick = side == 3 and not fused and style.convolution == "winograd"
    layer = nn.Conv(
        features,
        (side, side),
        padding=[(margin, margin)] * 2,
        kernel_init=init.kernel(),
        bias_init=init.offset(side**2 * x.shape[-1]),
        dtype=style.dtype,
        conv_general_dilated=convolve if quick else None,
        name=name,
    )
    return filtered(layer(x), style.taps, margin=0) if fused else layer(x)


def group_norm(x: Picture, eps: float, dtype: str, name: str) -> Picture:
    """Group norm over groups of at least four channels, in a layer of that name.

    Raises:
        UserError: the channels do not fall into such groups.
    """
    channels = x.shape[-1]
    groups = min(MOST_GROUPS, channels // LEAST_GROUP)
    if groups == 0 or channels % groups:
        raise UserError(
            f"{channels} channels cannot be normalised in groups: take multiples of {LEAST_GROUP}, "
            f"and above {LEAST_GROUP * MOST_GROUPS} of {MOST_GROUPS}."
        )
    return nn.GroupNorm(groups, epsilon=eps, use_fast_variance=False, dtype=dtype, name=name)(x)


def position_features(
    c_noise: Float[Array, " batch"], width: int, endpoint: bool
) -> Float[Array, "batch width"]:
    """[cos(w_k c_noise), sin(w_k c_noise)], w_k from 1 to 1/10000 in geometric progression.

    Args:
        c_noise: the label of the noise level.
        width: even number of features.
        endpoint: whether 1/10000 is among the frequencies, or would be the next.
    """
    exponents = jnp.linspace(0, 1, width // 2, endpoint=endpoint, dtype=c_noise.dtype)
    angles = c_noise[:, None] * 1e-4**exponents
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=1)


class DrawnFourierFeatures(nn.Module):
    """[cos(2 pi f_k c_noise), sin(2 pi f_k c_noise)], with f_k of N(0, 16²) that are not trained.

    Source: Song et al. 2021 (score SDE), appendix G.
    """

    width: int

    @nn.compact
    def __call__(self, c_noise: Float[Array, " batch"]) -> Float[Array, "batch width"]:
        freqs = self.param("freqs", nn.initializers.normal(16.0), (self.width // 2,))
        angles = c_noise[:, None] * (2 * jnp.pi * jax.lax.stop_gradient(freqs))
        return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=1)


class EDMBlock(nn.Module):
    """A residual block: norms, convolutions, steered by the embedding; then attention, or none.

    Attributes:
        features: channels of the result.
        style: of the network.
        mode: of `resample`, for what goes into the first convolution.
        attends: whether attention follows.
        perturbed: whether the map of the attention is the identity.
    """

    features: int
    style: EDMStyle
    mode: str = "keep"
    attends: bool = False
    perturbed: bool = False

    @nn.compact
    def __call__(self, x: Picture, embedding: Embedding, deterministic: bool) -> Result:
        style = self.style
        h = nn.silu(self._norm(x, "norm0"))
        h = convolution(h, self.features, 3, style.init, style, "conv0", self.mode)
        width = self.features * (1 + style.scales)
        steer = linear(embedding, width, style.init, style.dtype, "affine")[:, None, None]
        if style.scales:
            scale, shift = jnp.split(steer, 2, axis=-1)
            h = nn.silu(self._norm(h, "norm1") * (1 + scale) + shift)
        else:
            h = nn.silu(self._norm(h + steer, "norm1"))
        h = nn.Dropout(style.dropout)(h, deterministic=deterministic)
        h = convolution(h, self.features, 3, style.init_last, style, "conv1")
        h = (h + self._passed(x)) * style.skip_scale
        if self.attends:
            h = (h + self._attention(h)) * style.skip_scale
        return h

    def _norm(self, x: Picture, name: str) -> Picture:
        return group_norm(x, self.style.eps, self.style.dtype, name)

    def _passed(self, x: Picture) -> Result:
        """What goes past the branch."""
        style = self.style
        if x.shape[-1] != self.features or (self.mode != "keep" and style.projects):
            return convolution(x, self.features, 1, style.init, style, "skip", self.mode)
        return resample(x, self.mode, style.taps)

    def _attention(self, x: Picture) -> Picture:
        """Each place looks at all places."""
        style, (batch, height, width, channels) = self.style, x.shape
        qkv = convolution(
            self._norm(x, "norm2"), 3 * channels, 1, style.init_attention, style, "qkv"
        )
        heads = style.heads(channels)
        query, key, value = jnp.moveaxis(
            qkv.reshape(batch, height * width, heads, channels // heads, 3), -1, 0
        )
        mixed = value
        if not self.perturbed:
            mixed = attend(query, key, value, implementation=style.attention_implementation)
        mixed = mixed.reshape(x.shape)
        return convolution(mixed, channels, 1, style.init_last, style, "proj")
