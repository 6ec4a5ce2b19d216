"""DDIM."""

from typing import ClassVar

import jax.numpy as jnp

from diffusion_jax.errors import within
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import (
    Denoise,
    Noise,
    OneStep,
    State,
    adds_noise,
    predicted_noise,
    solvers,
)
from diffusion_jax.sampling.thresholds import NoThreshold, Threshold
from diffusion_jax.struct import Scalar, pytree


@solvers.register("ddim")
@pytree
class DDIM(OneStep):
    """Denoises, then puts the estimated noise back, a part of it fresh.

    x_s = alpha_s x_0 + sqrt(sigma_s² - tau²) eps + tau z, with
    tau² = eta² sigma_s²/sigma_t² (sigma_t² - (alpha_t/alpha_s)² sigma_s²).

    Attributes:
        eta: 0 is deterministic, and Euler's method in sigma/alpha; 1 is ancestral sampling.
        threshold: what keeps x_0 within range but leaves eps as the network has it. (With a
            threshold on the denoiser, eps is that of the x_0 within range.)

    Source: Song et al. 2020 (DDIM), eq. 12 and 16.
    """

    formula: ClassVar[str] = (
        "x_s = α_s D + √(σ_s² − τ²) ε̂ + τ z, τ² = eta² σ_s²/σ_t² (σ_t² − (α_t/α_s)² σ_s²)"
    )

    eta: Scalar = 0.0
    threshold: Threshold = NoThreshold()

    order = 1

    @property
    def stochastic(self) -> bool:
        """Whether noise is put back."""
        return adds_noise(self.eta)

    def __post_init__(self) -> None:
        within(self, 0, 1, "eta")

    def step(
        self, state: State, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> State:
        x0 = denoise(state.x, here.level)
        eps, x0 = predicted_noise(state.x, x0, here.level), self.threshold(x0)
        ratio = here.level.alpha / there.level.alpha
        kept = there.level.sigma / here.level.sigma
        gained = jnp.maximum(here.level.sigma**2 - (ratio * there.level.sigma) ** 2, 0)
        tau = self.eta * kept * jnp.sqrt(gained)
        rest = jnp.sqrt(jnp.maximum(there.level.sigma**2 - tau**2, 0))
        return State(there.level.alpha * x0 + rest * eps + tau * noise(0), x0)
