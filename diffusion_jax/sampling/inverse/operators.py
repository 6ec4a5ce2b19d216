"""Linear operators: what is observed of data, y = A x_0 + noise.

Those that a config may name are made for the shape of a sample.
"""

import math
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, one_of, within
from diffusion_jax.registry import Registry
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


operators: Registry[Operator] = Registry("operator")


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


@pytree
class Separable:
    """The same matrix along the height and along the width of a picture.

    Attributes:
        rows: (observed_height, height).
        columns: (observed_width, width).

    >>> both = Separable(jnp.ones((1, 2)), jnp.eye(2))
    >>> both(jnp.arange(4.0).reshape(1, 2, 2, 1))[0, ..., 0].tolist()
    [[2.0, 4.0]]
    """

    rows: Float[Array, "observed_height height"]
    columns: Float[Array, "observed_width width"]

    def __call__(
        self, x0: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch observed_height observed_width channels"]:
        return jnp.einsum("ih,jw,bhwc->bijc", self.rows, self.columns, x0)

    def transpose(
        self, y: Float[Array, "batch observed_height observed_width channels"]
    ) -> Float[Array, "batch height width channels"]:
        return jnp.einsum("ih,jw,bijc->bhwc", self.rows, self.columns, y)


@operators.register(
    "half",
    formula="A x₀ = m x₀, m = 1 on the half that is seen, 0 elsewhere",
)
def half(shape: tuple[int, ...], side: str = "left") -> Mask:
    """Shows one half of a picture and hides the other.

    Args:
        shape: of a picture, (height, width, channels).
        side: which half is seen: "left", "right", "top" or "bottom".
    """
    one_of(side, ("left", "right", "top", "bottom"), "side of operator 'half'")
    height, width, _ = _picture(shape)
    down, across = jnp.arange(height) + 0.5, jnp.arange(width) + 0.5
    upper, lefter = (down < height / 2)[:, None], (across < width / 2)[None]
    keep = {"top": upper, "bottom": ~upper, "left": lefter, "right": ~lefter}[side]
    return Mask(jnp.broadcast_to(keep, (height, width))[..., None].astype(float))


@operators.register(
    "box",
    formula="A x₀ = m x₀, m = 0 in the box, of part · height by part · width, 1 elsewhere",
)
def box(shape: tuple[int, ...], part: float = 0.5) -> Mask:
    """Hides a box in the middle of a picture.

    Args:
        shape: of a picture, (height, width, channels).
        part: of height and width that the box takes.
    """
    _share("box", "part", part)
    height, width, _ = _picture(shape)
    down, across = (abs(jnp.arange(n) + 0.5 - n / 2) < part * n / 2 for n in (height, width))
    return Mask(1 - (down[:, None] & across[None])[..., None].astype(float))


@operators.register(
    "random_pixels",
    formula="A x₀ = m x₀, m = 1 with probability share, else 0, for each pixel",
)
def random_pixels(shape: tuple[int, ...], share: float = 0.2, seed: int = 0) -> Mask:
    """Shows random pixels, the same of every picture, all channels of each.

    Args:
        shape: of a picture, (height, width, channels).
        share: how likely each pixel is seen.
        seed: of the choice.
    """
    _share("random_pixels", "share", share)
    seen = jax.random.uniform(jax.random.key(seed), _picture(shape)[:2]) < share
    return Mask(seen[..., None].astype(float))


@operators.register(
    "downsample",
    formula="(A x₀)ᵢⱼ = the mean of x₀ over square (i, j) of factor × factor pixels",
)
def downsample(shape: tuple[int, ...], factor: int = 2) -> Downsample:
    """The mean of every square of pixels: super-resolution.

    Args:
        shape: of a picture, (height, width, channels).
        factor: side of a square, which divides height and width.

    Raises:
        UserError: it does not.
    """
    operator = Downsample(factor)
    if any(side % factor for side in _picture(shape)[:2]):
        raise UserError(f"operator 'downsample': factor={factor} must divide {shape[:2]}.")
    return operator


@operators.register(
    "blur",
    formula="(A x₀)ᵢⱼ = Σₖₗ g(i − k) g(j − l) (x₀)ₖₗ, g(d) ∝ exp(−d²/(2 std²)), Σ g = 1",
)
def blur(shape: tuple[int, ...], std: float = 1.0) -> Separable:
    """Blurs a picture by a normal kernel, exp(-distance²/(2 std²)), with grey beyond its edges.

    Args:
        shape: of a picture, (height, width, channels).
        std: in pixels.
    """
    _share("blur", "std", std, most=math.inf)

    def along(size: int) -> Array:
        offset = jnp.arange(size)[:, None] - jnp.arange(size)
        reach = jnp.arange(-size, size + 1)
        return jnp.exp(-((offset / std) ** 2) / 2) / jnp.sum(jnp.exp(-((reach / std) ** 2) / 2))

    height, width, _ = _picture(shape)
    return Separable(along(height), along(width))


def _picture(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) != 3:
        raise UserError(f"operators that a config names are for pictures, not for shape {shape}.")
    return shape


def _share(name: str, setting: str, value: float, most: float = 1.0) -> None:
    if not 0 < value <= most:
        bounds = "positive" if most == math.inf else f"above 0, at most {most:g}"
        raise UserError(f"operator {name!r}: {setting} must be {bounds}, not {value}.")
