"""Linear operators: what is observed of data, y = A x_0 + noise."""

import math
from typing import Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import within
from diffusion_jax.struct import pytree, static


@runtime_checkable
class Operator(Protocol):
    """A linear map A of samples, each by itself, and its transpose."""

    def __call__(self, x0: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        """A x_0."""
        ...

    def transpose(self, y: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        """A^T y, of the shape of x_0."""
        ...


@pytree
class Mask:
    """Keeps part of a sample, and sets the rest to 0: inpainting.

    Attributes:
        keep: 1 where a value is seen, 0 where not; of a sample's shape, or one that broadcasts.

    >>> Mask(jnp.array([1.0, 0.0]))(jnp.array([[2.0, 3.0]])).tolist()
    [[2.0, 0.0]]
    """

    keep: Float[Array, "..."]

    def __call__(self, x0: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return self.keep * x0

    def transpose(self, y: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return self.keep * y


@pytree
class Downsample:
    """The mean of every square of pixels: super-resolution.

    Attributes:
        factor: side of a square, which divides height and width.

    >>> Downsample(2)(jnp.arange(4.0).reshape(1, 2, 2, 1)).tolist()
    [[[[1.5]]]]
    """

    factor: int = static(default=2)

    def __post_init__(self) -> None:
        within(self, 1, math.inf, "factor")

    def __call__(
        self, x0: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch low_height low_width channels"]:
        batch, height, width, channels = x0.shape
        f = self.factor
        return x0.reshape(batch, height // f, f, width // f, f, channels).mean(axis=(2, 4))

    def transpose(
        self, y: Float[Array, "batch low_height low_width channels"]
    ) -> Float[Array, "batch height width channels"]:
        wide = jnp.repeat(jnp.repeat(y, self.factor, axis=1), self.factor, axis=2)
        return wide / self.factor**2


@pytree
class Matrix:
    """Any matrix, of samples that are vectors.

    Attributes:
        matrix: A, (observed, dim).

    >>> Matrix(jnp.array([[1.0, 1.0]]))(jnp.array([[2.0, 3.0]])).tolist()
    [[5.0]]
    """

    matrix: Float[Array, "observed dim"]

    def __call__(self, x0: Float[Array, "batch dim"]) -> Float[Array, "batch observed"]:
        return x0 @ self.matrix.T

    def transpose(self, y: Float[Array, "batch observed"]) -> Float[Array, "batch dim"]:
        return y @ self.matrix
