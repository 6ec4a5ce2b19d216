"""What a network predicts, and how to turn one prediction into any other.

1. The process is x = alpha x_0 + sigma eps.
2. Every target in the literature is y = a x_0 + b eps with coefficients that depend on the level.
3. Together they are one 2 × 2 linear map (x_0, eps) → (x, y) with determinant
   det = alpha b - sigma a, whose inverse is
       x_0 = (b x - sigma y)/det,    eps = (alpha y - a x)/det.
4. At a given x, an error of delta in y is one of -sigma delta/det in x_0 and alpha delta/det in
   eps. Losses on different predictions differ by these factors alone.
"""

from typing import Protocol, runtime_checkable

from jaxtyping import Array, Float

from diffusion_jax.process.level import Level
from diffusion_jax.registry import Registry

Coefficients = tuple[Float[Array, "..."], Float[Array, "..."]]


@runtime_checkable
class Prediction(Protocol):
    """A kind of target: the coefficients of x_0 and eps in it."""

    def coefficients(self, level: Level) -> Coefficients:
        """(a, b) of the target a x_0 + b eps, each of the level's shape."""
        ...


predictions: Registry[Prediction] = Registry("prediction")


def determinant(level: Level, prediction: Prediction) -> Float[Array, "..."]:
    """alpha b - sigma a, of the level's shape."""
    a, b = prediction.coefficients(level)
    return level.alpha * b - level.sigma * a


def split(
    value: Float[Array, "..."], x: Float[Array, "..."], level: Level, prediction: Prediction
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """The (x_0, eps) that a predicted value stands for at x.

    Args:
        value: the prediction y, of the shape of x.
        x: noisy data, (batch, ...) or any shape that the level broadcasts against from the left.
        level: noise level of x.
        prediction: what kind of target `value` is.

    Returns:
        x_0 = (b x - sigma y)/det and eps = (alpha y - a x)/det.

    >>> import jax.numpy as jnp
    >>> from diffusion_jax.process.predictions import Epsilon
    >>> level = Level(jnp.float32(0.6), jnp.float32(0.8))
    >>> x0, eps = split(jnp.array([1.0]), jnp.array([1.4]), level, Epsilon())
    >>> round(float(x0[0]), 4), round(float(eps[0]), 4)
    (1.0, 1.0)
    """
    level = level.like(x)
    a, b = prediction.coefficients(level)
    det = level.alpha * b - level.sigma * a
    return (b * x - level.sigma * value) / det, (level.alpha * value - a * x) / det


def to_x0(
    value: Float[Array, "..."], x: Float[Array, "..."], level: Level, prediction: Prediction
) -> Float[Array, "..."]:
    """The x_0 that a predicted value stands for at x; arguments as in `split`."""
    return split(value, x, level, prediction)[0]


def convert(
    value: Float[Array, "..."],
    x: Float[Array, "..."],
    level: Level,
    source: Prediction,
    target: Prediction,
) -> Float[Array, "..."]:
    """Turns a prediction of kind `source` into the one of kind `target` at the same x.

    >>> import jax.numpy as jnp
    >>> from diffusion_jax.process.predictions import Epsilon, V
    >>> level = Level(jnp.float32(0.6), jnp.float32(0.8))
    >>> v = convert(jnp.array([1.0]), jnp.array([1.4]), level, Epsilon(), V())
    >>> round(float(v[0]), 4)
    -0.2
    """
    x0, eps = split(value, x, level, source)
    c, d = target.coefficients(level.like(x))
    return c * x0 + d * eps
