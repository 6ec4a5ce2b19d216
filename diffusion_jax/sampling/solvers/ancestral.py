"""Ancestral sampling, DDPM's sampler."""

import jax.numpy as jnp

from diffusion_jax.errors import one_of
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import Denoise, Noise, OneStep, State, solvers
from diffusion_jax.struct import pytree, static


@solvers.register("ancestral")
@pytree
class Ancestral(OneStep):
    """Draws from q(x_s | x_t, x_0), with the denoised estimate in place of x_0.

    With r = alpha_t/alpha_s and sigma_ts² = sigma_t² - r² sigma_s²:
    mean = r sigma_s²/sigma_t² x_t + alpha_s sigma_ts²/sigma_t² x_0;
    variance = sigma_ts² sigma_s²/sigma_t² ("small") or sigma_ts² ("large", which is beta).

    Attributes:
        variance: "small" is right for data at a single point, "large" for standard normal data.

    Source: Ho et al. 2020 (DDPM), eq. 6-7 and section 3.2; Kingma et al. 2021 (VDM), eq. 25-26,
    for any two levels.
    """

    variance: str = static("small")

    order = 1
    stochastic = True

    def __post_init__(self) -> None:
        one_of(self.variance, ("small", "large"), "variance of solver 'ancestral'")

    def step(
        self, state: State, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> State:
        x0 = denoise(state.x, here.level)
        ratio = here.level.alpha / there.level.alpha
        kept = (there.level.sigma / here.level.sigma) ** 2
        gained = here.level.sigma**2 - ratio**2 * there.level.sigma**2
        fresh = gained / here.level.sigma**2
        mean = ratio * kept * state.x + there.level.alpha * fresh * x0
        variance = gained * kept if self.variance == "small" else gained
        # The last step returns the mean.
        variance = jnp.where(there.level.sigma > 0, jnp.maximum(variance, 0), 0)
        return State(mean + jnp.sqrt(variance) * noise(0), x0)
