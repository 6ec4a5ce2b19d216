"""The terms of the variational bound of a chain, in nats per dimension."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.process.gaussians import normal_kl, pixel_log_likelihood
from diffusion_jax.process.level import Level
from diffusion_jax.process.per_sample import mean_dims, wide
from diffusion_jax.process.posterior import ChainStep

BITS = 1 / math.log(2)  # per nat


def prior_term(x0: Float[Array, "batch ..."], last: Level) -> Float[Array, "batch"]:
    """KL(q(x_T | x_0) | N(0, 1)), what the start of the reverse chain costs.

    Source: Ho et al. 2020 (DDPM), eq. 5, L_T.

    >>> float(prior_term(jnp.ones((1, 2)), Level(jnp.float32(0.0), jnp.float32(1.0)))[0])
    0.0
    """
    level = last.like(x0)
    return mean_dims(normal_kl(level.alpha * x0, 2 * jnp.log(level.sigma), 0.0, 0.0))


def step_term(
    step: ChainStep,
    x: Float[Array, "batch ..."],
    x0: Float[Array, "batch ..."],
    guess: Float[Array, "batch ..."],
    kind: str = "small",
    learned: Float[Array, "batch ..."] | None = None,
    approximate: bool = False,
) -> Float[Array, "batch"]:
    """What one step of the reverse chain costs, given x.

    KL(q(x_s | x, x_0) | p(x_s | x)), or -log p(x_0 | x) of pixels for the last step. p is normal;
    its mean is that of q with `guess` in place of x_0.

    Args:
        step: of the chain, (batch,), see `posterior.chain_step`.
        x: noisy data.
        x0: the data: pixels of 256 values from -1 to 1.
        guess: E[x_0 | x] according to the model.
        kind: how the model's variance is to be read, see `posterior.log_variance`.
        learned: what the model predicts of it.
        approximate: see `gaussians.pixel_log_likelihood`.

    Source: Ho et al. 2020 (DDPM), eq. 5, L_t and L_0; Nichol & Dhariwal 2021, eq. 4-7.
    """
    posterior = step.posterior
    log_variance = step.log_variance(kind, learned)
    if log_variance.ndim < x.ndim:
        log_variance = wide(log_variance, x)
    mean = posterior.mean(x, guess)
    divergence = normal_kl(posterior.mean(x, x0), wide(posterior.log_small, x), mean, log_variance)
    decoder = -pixel_log_likelihood(x0, mean, log_variance, approximate=approximate)
    return mean_dims(jnp.where(wide(step.decodes, x), decoder, divergence))
