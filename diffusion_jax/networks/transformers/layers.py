"""Layers that released transformers share: patches, norms, modulation, GELU layers."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from diffusion_jax.networks.patches import to_patches

Tokens = Float[Array, "batch tokens width"]
Vector = Float[Array, "batch width"]

Dense = functools.partial(nn.Dense, kernel_init=nn.initializers.xavier_uniform())
"""`flax.linen.Dense`, drawn as Xavier's uniform distribution, with a bias of 0."""

ZeroDense = functools.partial(nn.Dense, kernel_init=nn.initializers.zeros)
"""`flax.linen.Dense` that starts at 0."""


def layer_norm(
    epsilon: float, dtype: str, affine: bool = False, name: str | None = None
) -> nn.LayerNorm:
    """Layer norm, by default without a scale and shift of its own: a condition supplies them."""
    return nn.LayerNorm(
        epsilon,
        dtype=dtype,
        use_bias=affine,
        use_scale=affine,
        use_fast_variance=False,
        name=name,
    )


def modulate(h: Tokens, shift: Vector, scale: Vector) -> Tokens:
    """(1 + scale) h + shift, a scale and a shift for each sample."""
    return h * (1 + scale[:, None]) + shift[:, None]


def modulations(condition: Vector, count: int, dtype: str, name: str) -> list[Vector]:
    """Linear maps of silu(condition) that start at zero: shifts, scales and gates."""
    dense = ZeroDense(count * condition.shape[-1], dtype=dtype, name=name)
    return jnp.split(dense(nn.silu(condition)), count, axis=-1)


def flattened_xavier(
    key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
) -> Array:
    """Xavier's uniform distribution of a convolution that sees each pixel once."""
    flat = jnp.zeros(shape).reshape(-1, shape[-1]).shape
    return nn.initializers.xavier_uniform()(key, flat, dtype).reshape(shape)


class PatchProjection(nn.Module):
    """A linear map of each patch: a convolution whose stride is its size.

    Attributes:
        patch_size: side of a patch.
        width: features of a token.
        dtype: of the computation.
        use_bias: whether it adds one.
    """

    patch_size: int
    width: int
    dtype: str
    use_bias: bool = True

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch rows columns features"]:
        """The tokens, still in rows and columns."""
        cells = to_patches(x.astype(self.dtype), self.patch_size)
        shape = (self.patch_size, self.patch_size, x.shape[-1], self.width)
        kernel = self.param("kernel", flattened_xavier, shape)
        h = cells @ kernel.reshape(-1, self.width).astype(self.dtype)
        if not self.use_bias:
            return h
        return h + self.param("bias", nn.initializers.zeros, (self.width,)).astype(self.dtype)


class TwoLayers(nn.Module):
    """Dense(activation(Dense(h))).

    Attributes:
        hidden: features within.
        names: of the two layers.
        dtype: of the computation.
        width: features of the result; None is those of h.
        activation: between the two; by default the GELU by tanh.
    """

    hidden: int
    names: tuple[str, str]
    dtype: str
    width: int | None = None
    activation: Callable[[Array], Array] = nn.gelu

    @nn.compact
    def __call__(self, h: Float[Array, "*batch features"]) -> Float[Array, "*batch width"]:
        """The result."""
        width = h.shape[-1] if self.width is None else self.width
        hidden = Dense(self.hidden, dtype=self.dtype, name=self.names[0])(h)
        result: Array = Dense(width, dtype=self.dtype, name=self.names[1])(self.activation(hidden))
        return result
