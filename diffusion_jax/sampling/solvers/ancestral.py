"""Ancestral sampling, DDPM's sampler, and with a classifier that shifts its mean."""

from collections.abc import Callable
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import one_of
from diffusion_jax.process.denoiser import as_denoiser
from diffusion_jax.process.level import Level
from diffusion_jax.process.posterior import log_variance, posterior
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import Denoise, Noise, OneStep, State, solvers
from diffusion_jax.struct import Scalar, pytree, static


@solvers.register("ancestral")
@pytree
class Ancestral(OneStep):
    """Draws from q(x_s | x_t, x_0), with the denoised estimate in place of x_0.

    With r = alpha_t/alpha_s and sigma_ts² = sigma_t² - r² sigma_s²:
    mean = r sigma_s²/sigma_t² x_t + alpha_s sigma_ts²/sigma_t² x_0;
    variance = sigma_ts² sigma_s²/sigma_t² ("small"), sigma_ts² ("large", which is beta), or what
    the denoiser tells ("learned").

    Attributes:
        variance: "small" is right for data at a single point, "large" for standard normal data;
            "learned" needs a network trained with the loss `hybrid` or `variational`.

    Source: Ho et al. 2020 (DDPM), eq. 6-7 and section 3.2; Kingma et al. 2021 (VDM), eq. 25-26,
    for any two levels; Nichol & Dhariwal 2021 (improved DDPM), eq. 15, for a learned variance.
    """

    formula: ClassVar[str] = (
        "x_s = r σ_s²/σ_t² x_t + α_s v/σ_t² D + √w z, r = α_t/α_s, v = σ_t² − r² σ_s², w = v "
        "σ_s²/σ_t² (small) or v (large)"
    )

    variance: str = static(default="small")

    order = 1
    stochastic = True

    def __post_init__(self) -> None:
        one_of(self.variance, ("small", "large", "learned"), "variance of solver 'ancestral'")

    @property
    def needs_variance(self) -> bool:
        """Whether the denoiser has to tell it."""
        return self.variance == "learned"

    def step(
        self, state: State, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> State:
        x0, mean, variance = self.moments(state.x, here, there, denoise)
        # The last step returns the mean.
        std = jnp.where(there.level.sigma > 0, jnp.sqrt(variance), 0)
        return State(mean + std * noise(0), x0)

    def moments(
        self, x: Float[Array, "batch ..."], here: Nodes, there: Nodes, denoise: Denoise
    ) -> tuple[Float[Array, "batch ..."], Float[Array, "batch ..."], Float[Array, "..."]]:
        """The estimate of x_0, and the mean and the variance of the step."""
        step, kind, values = posterior(here.level, there.level), self.variance, None
        if not self.needs_variance:
            x0 = denoise(x, here.level)
        else:
            denoiser = as_denoiser(denoise)
            x0, values = denoiser.with_moments(x, here.level)
            kind = str(denoiser.variance)
        return x0, step.mean(x, x0), jnp.exp(log_variance(kind, values, step))


@pytree
class MeanShift(OneStep):
    """Ancestral sampling with a classifier: mean + scale · variance · d log p(c | x_t)/dx_t.

    To first order in the step this is guidance of the denoiser (`guidance.classifier`), which
    works with every solver; here the step is that of the paper.

    Attributes:
        gradient: (x, level) → d log p(c | x)/dx; a pytree, to be handed through `jit`.
        scale: how hard to steer.
        solver: takes the steps.
        last_variance: in place of 0 for the last step, whose mean is shifted too.

    Source: Dhariwal & Nichol 2021, eq. 10 and algorithm 1.
    """

    gradient: Callable[[Array, Level], Array]
    scale: Scalar = 1.0
    solver: Ancestral = Ancestral()
    last_variance: Scalar = 0.0

    order = 1
    stochastic = True

    @property
    def needs_variance(self) -> bool:
        """Whether the denoiser has to tell it."""
        return self.solver.needs_variance

    def step(
        self, state: State, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> State:
        x0, mean, variance = self.solver.moments(state.x, here, there, denoise)
        noisy = there.level.sigma > 0
        width = jnp.where(noisy, variance, self.last_variance)
        shift = self.scale * width * self.gradient(state.x, here.level)
        return State(mean + shift + jnp.where(noisy, jnp.sqrt(variance), 0) * noise(0), x0)
