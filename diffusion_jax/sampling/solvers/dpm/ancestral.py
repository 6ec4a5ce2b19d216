"""DPM-Solver's single steps, with the noise of ancestral samplers."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array

from diffusion_jax.errors import one_of, within
from diffusion_jax.process.level import Level
from diffusion_jax.sampling.solvers.ancestral_sigma import InSigma, X
from diffusion_jax.sampling.solvers.base import Denoise, solvers
from diffusion_jax.sampling.solvers.dpm.singlestep import (
    ESTIMATES,
    Inner,
    second_order,
    third_order,
)
from diffusion_jax.sampling.solvers.exponential import between, estimated
from diffusion_jax.struct import Scalar, pytree, static


@solvers.register("dpm_solver_ancestral")
@pytree
class DPMSolverAncestral(InSigma):
    """z_next = flow(z, s → down) + up n, the flow by a single step of `dpm_solver`.

    down = s_next sqrt(1 - eta² (1 - (s_next/s)²)), up² = s_next² - down². Since the flow and the
    noise both keep the exact distribution, variances converge at the order of the flow.

    Attributes:
        eta: 0 is deterministic, 1 is ancestral sampling.
        s_noise: standard deviation of the noise relative to the exact one.
        order: 1, 2 or 3, evaluations per step.
        estimate: "epsilon" is DPM-Solver, "x0" is DPM-Solver++.
        s_end: the flow goes no further down than to this s = sigma/alpha.

    Source: Lu et al. 2022 (DPM-Solver), algorithms 1-2 and 4; k-diffusion (Crowson 2022),
    `dpm_fast`, for the noise.
    """

    formula: ClassVar[str] = (
        "y_s = flow(y_t, q_t → down) + up z, up² = eta² q_s² (1 − (q_s/q_t)²), down² = q_s² − up², "
        "y = x/α, q = σ/α"
    )

    order: int = static(default=3)
    estimate: str = static(default="x0")
    s_end: Scalar = 0.0

    needs_signal = True

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 1, 3, "order")
        within(self, 0, float("inf"), "s_end")
        one_of(self.estimate, ESTIMATES, "estimate of solver 'dpm_solver_ancestral'")

    def evaluations(self, steps: int) -> int:
        return self.order * (steps - 1) + 1

    def split(self, s: Array, s_next: Array) -> tuple[Array, Array]:
        down, up = super().split(s, s_next)
        kept = jnp.maximum(down, self.s_end)
        short = jnp.sqrt(jnp.maximum((s_next - kept) * (s_next + kept), 0))
        return kept, jnp.where(kept > down, short, up)

    def flow(self, z: X, x0: X, s: Array, down: Array, denoise: Denoise) -> tuple[X, X]:
        start, end = (Level(jnp.ones_like(value), value) for value in (s, down))
        if self.order == 1:
            m = estimated(self.estimate, z, x0, start)
            return between(self.estimate, start, end).constant(z, m), x0
        scheme = second_order if self.order == 2 else third_order
        inner = Inner(1 / self.order, 2 / 3, "midpoint")
        return scheme(self.estimate, z, x0, (start, end), denoise, inner)[1], x0
