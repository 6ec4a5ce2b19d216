"""SEEDS."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import within
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import (
    Denoise,
    Noise,
    OneStep,
    State,
    halfway,
    predicted_noise,
    solvers,
    unless_clean,
)
from diffusion_jax.struct import pytree, static


@solvers.register("seeds")
@pytree
class SEEDS(OneStep):
    """The reverse SDE by exponential integrators of one to three stages.

    x_s = alpha_s/alpha_t x_t - 2 sigma_s ((e^h - 1) eps_1 + c (eps_n - eps_1)) + noise, with h the
    step in lambda = log(alpha/sigma). Of two stages, the second is at h/2 and c = e^h - 1; of
    three, they are at h/3 and 2h/3, and c = 3/2 ((e^h - 1)/h - 1). The noise between t and a stage
    is that of the SDE, of variance sigma² (e^2h - 1), and all stages share its parts. The step
    onto clean data returns the denoised estimate. Variances converge at second order at most.

    Attributes:
        stages: evaluations a step, 1 to 3.

    Source: Gonzalez et al. 2023 (SEEDS), eq. 13-15, algorithms 1-3.

    >>> SEEDS(stages=3).evaluations(10)
    28
    """

    formula: ClassVar[str] = (
        "x_s = α_s/α_t x_t − 2 σ_s ((e^h − 1) ε₁ + c (ε₃ − ε₁)) + σ_s √(e^(2h) − 1) z, c = 3/2 "
        "((e^h − 1)/h − 1), for 3 stages, h = (λ_s − λ_t)/2"
    )

    stages: int = static(3)

    stochastic = True
    needs_signal = True

    def __post_init__(self) -> None:
        within(self, 1, 3, "stages")

    @property
    def order(self) -> int:
        """Of variances; single paths converge at first order."""
        return min(self.stages, 2)

    def evaluations(self, steps: int) -> int:
        return self.stages * (steps - 1) + 1

    def step(
        self, state: State, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> State:
        x0 = denoise(state.x, here.level)
        eps = predicted_noise(state.x, x0, here.level)
        draws = [noise(k) for k in range(self.stages)]

        def noisy() -> Array:
            return self._stages(state.x, eps, here, there, denoise, draws)

        return State(unless_clean(there, noisy, there.level.alpha * x0), x0)

    def _stages(
        self, x: Array, eps: Array, here: Nodes, there: Nodes, denoise: Denoise, draws: list[Array]
    ) -> Array:
        whole = (there.level.log_snr - here.level.log_snr) / 2
        change = jnp.zeros_like(eps)  # eps at the latest stage, less that at the start
        for stage in range(1, self.stages + 1):
            part = stage / self.stages
            h = part * whole
            level = there.level if stage == self.stages else halfway(here.level, there.level, part)
            drift = jnp.expm1(h) * eps + slope_weight(stage, self.stages, h) * change
            kept = level.alpha / here.level.alpha * x
            arrived = kept - 2 * level.sigma * drift + level.sigma * fresh(draws, whole, stage)
            if stage < self.stages:
                change = predicted_noise(arrived, denoise(arrived, level), level) - eps
        return arrived


def slope_weight(stage: int, stages: int, h: Float[Array, ""]) -> Float[Array, ""]:
    """What multiplies the change of eps up to the stage before, h being the step so far."""
    if stages == 2:
        return jnp.expm1(h)
    # The change was found at (stage - 1)/stage of the step.
    return stage / max(stage - 1, 1) * (jnp.expm1(h) / h - 1)


def fresh(draws: list[Array], whole: Float[Array, ""], stage: int) -> Float[Array, "batch ..."]:
    """The noise up to a stage over its sigma; draw k is what the part before stage k + 1 adds."""
    part = whole / len(draws)
    scales = [jnp.exp((stage - 1 - k) * part) * jnp.sqrt(jnp.expm1(2 * part)) for k in range(stage)]
    return jnp.tensordot(jnp.stack(scales), jnp.stack(draws[:stage]), 1)
