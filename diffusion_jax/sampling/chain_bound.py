"""The variational bound of a denoiser on data, as the reverse chain of T steps."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from diffusion_jax.process.bound_terms import prior_term, step_term
from diffusion_jax.process.denoiser import DenoiserLike, as_denoiser
from diffusion_jax.process.per_sample import mean_square
from diffusion_jax.process.posterior import FIXED, chain_step
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.struct import pytree


@pytree
class Bound:
    """An upper bound on -log p(x_0), in nats per dimension, and what it is made of.

    Attributes:
        prior: KL of the start of the chain, (batch,).
        terms: of the steps, noisiest first; the last is the decoder's, (steps, batch).
        error: mean square error of E[x_0 | x] at each step, (steps, batch).
    """

    prior: Float[Array, "batch"]
    terms: Float[Array, "steps batch"]
    error: Float[Array, "steps batch"]

    @property
    def total(self) -> Float[Array, "batch"]:
        """The bound itself; times `process.bound_terms.BITS` in bits per dimension."""
        return self.prior + jnp.sum(self.terms, axis=0)


def variational_bound(
    denoise: DenoiserLike,
    schedule: Schedule,
    steps: int,
    x0: Float[Array, "batch ..."],
    noise: Callable[[Array], Float[Array, "batch ..."]],
    condition: PyTree = None,
    variance: str = "learned",
    approximate: bool = False,
) -> Bound:
    """The bound of a chain of T steps, with one draw of noise for each of them.

    -log p(x_0) <= KL(q(x_T | x_0) | N(0, 1)) + sum_t KL(q(x_s | x_t, x_0) | p(x_s | x_t))
                   - log p(x_0 | x_1).

    Args:
        denoise: (x, level, condition) → E[x_0 | x], of a variance-preserving process.
        schedule: whose chain it is; of a table of T betas, the chain of its entries.
        steps: T.
        x0: pixels of 256 values from -1 to 1.
        noise: k → standard normal draw of the shape of x_0, for the k-th step from the noisy end.
        condition: handed to `denoise`.
        variance: "small" or "large", or "learned": what the denoiser tells, if it does.
        approximate: of the decoder, see `process.gaussians.pixel_log_likelihood`.

    Source: Ho et al. 2020 (DDPM), eq. 5 and section 3.3.

    >>> from diffusion_jax.verification.oracles import Gaussian
    >>> from diffusion_jax.process.schedules import schedules
    >>> data = Gaussian(mean=jnp.zeros(1), std=0.5 * jnp.ones(1))
    >>> bound = variational_bound(data.denoise, schedules.make("ddpm_linear(steps=50)"), 50,
    ...     jnp.zeros((2, 1)), lambda k: jnp.full((2, 1), 0.5), variance="small")
    >>> bound.terms.shape
    (50, 2)
    """
    denoiser = as_denoiser(denoise).with_condition(condition)
    times = schedule.t_max * jnp.arange(steps, 0, -1, dtype=x0.dtype) / steps

    def term(index: Array) -> tuple[Array, Array]:
        time = jnp.full(x0.shape[:1], times[index])
        level = schedule.level(time)
        x = level.mix(x0, noise(index))
        if denoiser.variance is not None and variance not in FIXED:
            kind, (guess, value) = denoiser.variance, denoiser.with_moments(x, level)
        else:
            kind, guess, value = variance, denoiser(x, level), None
        step = chain_step(schedule, time, steps)
        return step_term(step, x, x0, guess, kind, value, approximate), mean_square(guess - x0)

    terms, error = jax.lax.map(term, jnp.arange(steps))
    return Bound(prior_term(x0, schedule.level(times[0])), terms, error)
