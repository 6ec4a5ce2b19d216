"""Classifier guidance: a classifier of noisy data steers an unconditional denoiser."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from diffusion_jax.errors import UserError, is_finite
from diffusion_jax.process.denoiser import Denoiser, DenoiserLike, as_denoiser
from diffusion_jax.process.level import Level
from diffusion_jax.struct import Scalar

# (x (batch, ...), level, condition) → d log p(condition | x)/dx, (batch, ...).
Gradient = Callable[[Float[Array, "batch ..."], Level, PyTree], Float[Array, "batch ..."]]

# (x (batch, ...), level, condition) → log p(condition | x), (batch,).
LogProbability = Callable[[Float[Array, "batch ..."], Level, PyTree], Float[Array, "batch"]]


def gradient_of(log_probability: LogProbability) -> Gradient:
    """The gradient by x of a classifier's log-probability, sample by sample.

    Args:
        log_probability: (x, level, condition) → log p(condition | x), where row i depends on
            sample i alone.

    >>> log_p = lambda x, level, condition: -jnp.sum(x**2, axis=1)
    >>> gradient_of(log_p)(jnp.ones((1, 2)), Level(jnp.ones(()), jnp.ones(())), None).tolist()
    [[-2.0, -2.0]]
    """

    def gradient(x: Float[Array, "batch ..."], level: Level, condition: PyTree) -> Array:
        return jax.grad(lambda x: jnp.sum(log_probability(x, level, condition)))(x)

    return gradient


def classifier_guided(denoise: DenoiserLike, gradient: Gradient, scale: Scalar = 1.0) -> Denoiser:
    """D + scale sigma²/alpha d log p(c | x)/dx, that is eps - scale sigma d log p(c | x)/dx.

    The score becomes d log p(x)/dx + scale d log p(c | x)/dx: with the exact classifier and
    scale = 1 the exact conditional one. At alpha = 0 x says nothing of c, and D is left alone.

    Args:
        denoise: unconditional, or conditional already.
        gradient: of the classifier's log-probability, see `gradient_of`.
        scale: how hard to steer; 0 is not at all.

    Raises:
        UserError: the scale is not finite.

    Source: Dhariwal & Nichol 2021, eq. 14 and algorithm 2.

    >>> level = Level(jnp.array(0.5), jnp.array(1.0))
    >>> up = lambda x, level, condition: jnp.ones_like(x)
    >>> guided = classifier_guided(lambda x, level, condition: x, up, scale=3.0)
    >>> float(guided(jnp.zeros((1, 1)), level, None)[0, 0])
    6.0
    """
    if isinstance(scale, (int, float)) and not is_finite(scale):
        raise UserError(f"the scale of a classifier's guidance must be finite, not {scale}.")
    inner = as_denoiser(denoise)

    def guided(x: Array, level: Level, condition: PyTree, end: Level | None) -> Array:
        here = level.like(x)
        strength = jnp.where(
            here.alpha > 0, here.sigma**2 / jnp.where(here.alpha > 0, here.alpha, 1), 0
        )
        x0 = inner(x, level, condition, end)
        return x0 + scale * strength * gradient(x, level, condition)

    return inner.wrapped(guided)
