"""Thresholds: estimates of x_0 brought back to where data lie.

An error in eps is one of sigma/alpha as much in x_0, so that estimates made of strong noise, or by
strong guidance, may leave the range of the data and never return.
"""

import math
from typing import ClassVar, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from diffusion_jax.errors import ordered, positive, within
from diffusion_jax.process.denoiser import Denoiser, DenoiserLike, as_denoiser
from diffusion_jax.process.level import Level
from diffusion_jax.registry import Registry
from diffusion_jax.struct import Scalar, pytree


@runtime_checkable
class Threshold(Protocol):
    """A rule that keeps an estimate within the range of data."""

    def __call__(self, x0: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        """The estimate within range, each sample by itself."""
        ...


thresholds: Registry[Threshold] = Registry("threshold", Threshold)


def thresholded(denoise: DenoiserLike, threshold: Threshold) -> Denoiser:
    """The denoiser whose estimates are kept within range.

    >>> denoise = thresholded(lambda x, level, condition: 3 * x, Clip())
    >>> level = Level(jnp.array(0.6), jnp.array(0.8))
    >>> denoise(jnp.array([[0.2, 0.5]]), level).tolist()
    [[0.6..., 1.0]]
    """
    inner = as_denoiser(denoise)
    if isinstance(threshold, NoThreshold):
        return inner

    def estimate(x: Array, level: Level, condition: PyTree, end: Level | None) -> Array:
        return threshold(inner(x, level, condition, end))

    return inner.wrapped(estimate)


@thresholds.register("none")
@pytree
class NoThreshold:
    """The estimate as it is."""

    formula: ClassVar[str] = "x₀ ↦ x₀"

    def __call__(self, x0: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return x0


@thresholds.register("clip")
@pytree
class Clip:
    """Static thresholding: x_0 clipped to [-bound, bound].

    Attributes:
        bound: the largest value of data.

    Source: Ho et al. 2020 (DDPM), section 3.3; named by Saharia et al. 2022 (Imagen), section 2.3.
    """

    formula: ClassVar[str] = "x₀ ↦ min(max(x₀, −bound), bound)"

    bound: Scalar = 1.0

    def __post_init__(self) -> None:
        positive(self, "bound")

    def __call__(self, x0: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return jnp.clip(x0, -self.bound, self.bound)


@thresholds.register("dynamic")
@pytree
class Dynamic:
    """Dynamic thresholding: x_0 clipped to [-s, s], then divided by s.

    s is the `ratio` quantile of |x_0| over all values of a sample, no less than `lowest` and no
    more than `highest`. For data in [-1, 1].

    Attributes:
        ratio: share of the values that stay as they are.
        lowest: least s; at 1, estimates that are in range stay as they are.
        highest: most s; at 1, it is static thresholding.

    Source: Saharia et al. 2022 (Imagen), section 2.3.

    >>> Dynamic(ratio=1.0)(jnp.array([[-2.0, 1.0], [0.5, 0.25]])).tolist()
    [[-1.0, 0.5], [0.5, 0.25]]
    """

    formula: ClassVar[str] = (
        "x₀ ↦ min(max(x₀, −s), s)/s, s = min(max(quantile(|x₀|, ratio), lowest), highest)"
    )

    ratio: Scalar = 0.995
    lowest: Scalar = 1.0
    highest: Scalar = math.inf

    def __post_init__(self) -> None:
        within(self, 0, 1, "ratio")
        positive(self, "lowest")
        ordered(self, "lowest", "highest", equal=True)

    def __call__(self, x0: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        sizes = jnp.abs(x0).reshape(x0.shape[0], -1)
        s = jnp.clip(jnp.quantile(sizes, self.ratio, axis=1), self.lowest, self.highest)
        s = s.reshape((-1,) + (1,) * (x0.ndim - 1))
        return jnp.clip(x0, -s, s) / s
