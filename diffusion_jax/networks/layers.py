"""Layers with the first values of PyTorch's, of which most released networks are made.

Kernels and biases start uniform within ±1/sqrt(n), n the number of inputs of each output. All
layers compute in the dtype that they are given, and norms take their statistics at least in
float32.

Source: He et al. 2015 (delving deep into rectifiers), eq. 10, with the negative slope sqrt(5) that
PyTorch has.
"""

import functools
import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.networks.convolution import convolve

Features = Float[Array, "... features"]
Grid = Float[Array, "batch height width channels"]
Initializer = Callable[..., Array]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": functools.partial(nn.gelu, approximate=False),
    "gelu_new": functools.partial(nn.gelu, approximate=True),
    "gelu_pytorch_tanh": functools.partial(nn.gelu, approximate=True),
    "mish": jax.nn.mish,
    "quick_gelu": lambda h: h * jax.nn.sigmoid(1.702 * h),
    "relu": nn.relu,
    "silu": nn.silu,
    "swish": nn.silu,
}


def uniform(fan_in: int) -> Initializer:
    """Draws uniformly within ±1/sqrt(fan_in).

    Args:
        fan_in: number of inputs of each output.

    >>> bool(jnp.abs(uniform(4)(jax.random.key(0), (100,))).max() <= 0.5)
    True
    """
    bound = 1 / math.sqrt(fan_in)

    def draw(key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return draw


class Linear(nn.Module):
    """x W + b.

    Attributes:
        features: of the result.
        use_bias: whether there is b.
        dtype: dtype of the computation.
    """

    features: int
    use_bias: bool = True
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "... inputs"]) -> Features:
        inputs = x.shape[-1]
        kernel = self.param("kernel", uniform(inputs), (inputs, self.features))
        result = x.astype(self.dtype) @ jnp.asarray(kernel, self.dtype)
        if not self.use_bias:
            return result
        bias = self.param("bias", uniform(inputs), (self.features,))
        return result + jnp.asarray(bias, self.dtype)


class Conv(nn.Module):
    """A convolution of pictures, with zeros around them.

    Attributes:
        features: channels of the result.
        kernel_size: side of the kernel.
        stride: in both directions.
        padding: zeros before and after each side, one number for both or one for each; None keeps
            the size at stride 1.
        groups: channels are split into so many groups, each with kernels of its own.
        use_bias: whether a bias is added.
        dtype: dtype of the computation.
        convolution: "direct", or "winograd" for 3 × 3 kernels at stride 1, see `convolution`.
    """

    features: int
    kernel_size: int = 3
    stride: int = 1
    padding: int | tuple[int, int] | None = None
    groups: int = 1
    use_bias: bool = True
    dtype: str = "float32"
    convolution: str = "direct"

    @nn.compact
    def __call__(self, x: Grid) -> Float[Array, "batch new_height new_width features"]:
        side, inputs = self.kernel_size, x.shape[-1] // self.groups
        init = uniform(side * side * inputs)
        kernel = self.param("kernel", init, (side, side, inputs, self.features))
        result = self._convolved(x.astype(self.dtype), jnp.asarray(kernel, self.dtype))
        if not self.use_bias:
            return result
        bias = self.param("bias", init, (self.features,))
        return result + jnp.asarray(bias, self.dtype)

    def _convolved(self, x: Grid, kernel: Float[Array, "side side inputs features"]) -> Array:
        padding = (self.kernel_size - 1) // 2 if self.padding is None else self.padding
        keeps_size = (self.kernel_size, self.stride, padding, self.groups) == (3, 1, 1, 1)
        if keeps_size and self.convolution == "winograd":
            return convolve(x, kernel)
        around = (padding, padding) if isinstance(padding, int) else padding
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            window_strides=(self.stride, self.stride),
            padding=(around, around),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=self.groups,
        )


class OneHotEmbedding(nn.Module):
    """A vector for each of some classes, drawn from N(0, 1): the mean of rows by their weights.

    Attributes:
        features: of a vector.
        dtype: dtype of the computation.
    """

    features: int
    dtype: str = "float32"

    @nn.compact
    def __call__(self, weights: Float[Array, "batch classes"]) -> Float[Array, "batch features"]:
        """Sums the vectors by weights: one-hot weights look one up, all zero give zeros."""
        init = nn.initializers.normal(1.0)
        table = self.param("embedding", init, (weights.shape[-1], self.features))
        return weights.astype(self.dtype) @ jnp.asarray(table, self.dtype)


def affine_group_norm(
    groups: int, channels: int, epsilon: float, dtype: str, name: str
) -> nn.GroupNorm:
    """Group norm over some groups of channels, with a scale and a shift for each channel.

    Args:
        groups: of as many channels each.
        channels: of the input.
        epsilon: added to the variance.
        dtype: dtype of the result.
        name: of the module.

    Raises:
        UserError: groups do not divide channels.

    Source: Wu & He 2018, Group Normalization, eq. 1.
    """
    if groups < 1 or channels % groups:
        raise UserError(
            f"Norm {name!r}: {channels} channels cannot be split into {groups} equal groups."
        )
    return nn.GroupNorm(groups, epsilon=epsilon, use_fast_variance=False, dtype=dtype, name=name)


def affine_layer_norm(epsilon: float, dtype: str, name: str) -> nn.LayerNorm:
    """Layer norm with a scale and a shift for each feature; arguments as of `affine_group_norm`.

    Source: Ba et al. 2016, Layer Normalization.
    """
    return nn.LayerNorm(epsilon=epsilon, use_fast_variance=False, dtype=dtype, name=name)


def activation(name: str) -> Callable[[Array], Array]:
    """A function of a number, by the name that released configurations have for it.

    Raises:
        UserError: an unknown name.

    >>> float(activation("silu")(jnp.zeros(())))
    0.0
    """
    return ACTIVATIONS[one_of(name, ACTIVATIONS, "activation")]
