"""DPM-Solver and DPM-Solver++, multistep: one evaluation a step, the earlier ones remembered."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import one_of
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import (
    Denoise,
    Memory,
    Multistep,
    MultistepState,
    Noise,
    solvers,
)
from diffusion_jax.sampling.solvers.dpm.singlestep import VARIANTS
from diffusion_jax.sampling.solvers.exponential import Step, X, between, derivatives, estimated
from diffusion_jax.struct import pytree, static

LAST = ("full", "first", "falling")


@pytree
class DPMMultistep(Multistep):
    """What all of them share: the order of each step, and the step.

    Attributes:
        variant: weight of the slope in steps of second order, psi_1/2 ("midpoint") or psi_2
            ("taylor").
        last: order of the last steps: "full", or "first" for the very last, or "falling" by one
            with each step to 1. The step onto clean data is of first order in any case.
    """

    variant: str = static(default="midpoint")
    last: str = static(default="full")

    degree: ClassVar[int] = 2  # of the steps, once enough is remembered
    estimate: ClassVar[str] = "x0"
    # Whether m'' counts half in steps of third order, and the start is of first order.
    released: ClassVar[bool] = False

    def __post_init__(self) -> None:
        one_of(self.variant, VARIANTS, "variant of a multistep solver")
        one_of(self.last, LAST, "last of a multistep solver")

    @property
    def kept(self) -> int:
        """Earlier evaluations that it remembers."""
        return max(self.degree - 1, 1)

    @property
    def order(self) -> int:
        """A single step of first order leaves an error of second order, wherever it is."""
        return self.degree if self.last == "full" and not self.released else min(self.degree, 2)

    @property
    def stochastic(self) -> bool:
        """Whether noise is put back."""
        return False

    @property
    def needs_signal(self) -> bool:
        """eps comes with the factor e^h, which is infinite from a level without signal."""
        return self.estimate == "epsilon"

    @property
    def _starts_apart(self) -> bool:
        """Whether the first step is of second order, with an evaluation more."""
        return self.degree == 3 and not self.released

    def evaluations(self, steps: int) -> int:
        return steps + (1 if self._starts_apart and steps > 1 else 0)

    def step(
        self, state: MultistepState, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> MultistepState:
        x0 = denoise(state.x, here.level)
        m = estimated(self.estimate, state.x, x0, here.level)
        step = self._between(here, there)
        x = self._move(state, m, step, (here, there))
        if self._starts_apart:
            x = self._start(state, m, step, there, denoise, x)
        x = self._put_noise(x, here, there, noise)
        x = jnp.where(there.level.sigma > 0, x, there.level.alpha * x0)
        return MultistepState(x, x0, state.memory.push(m, here), state.left - 1)

    def _between(self, here: Nodes, there: Nodes) -> Step:
        return between(self.estimate, here.level, there.level)

    def _put_noise(self, x: X, here: Nodes, there: Nodes, noise: Noise) -> X:
        return x

    def _order(self, memory: Memory, left: Array) -> Array:
        """The order of this step, as far as memory and the end allow."""
        order = jnp.minimum(self.degree, memory.count + 1)
        if self.last == "first":
            return jnp.where(left == 1, 1, order)
        return jnp.minimum(order, left) if self.last == "falling" else order

    def _move(
        self, state: MultistepState, m: X, step: Step, ends: tuple[Nodes, Nodes]
    ) -> Float[Array, "batch ..."]:
        here, there = (node.level.log_snr for node in ends)
        memory, finite = state.memory, jnp.isfinite(there - here)
        # Where nothing is remembered, or h is infinite, tau is nothing to divide by.
        known = finite & (jnp.arange(self.kept) < memory.count)
        tau = (memory.node.level.log_snr - here) / (there - here)
        tau = jnp.where(known & (tau != 0), tau, -1.0 - jnp.arange(self.kept))
        order = jnp.where(finite, self._order(memory, state.left), 1)

        slope = (memory.estimates[0] - m) / tau[0]
        moved = step.linear(state.x, m, jnp.where(order > 1, slope, 0), self.variant)
        if self.degree < 3:
            return moved
        earlier = [(tau[i], memory.estimates[i]) for i in (0, 1)]
        slope, curvature = derivatives(m, *earlier)
        third = order > 2
        slope, curvature = jnp.where(third, slope, 0), jnp.where(third, curvature, 0)
        curvature = curvature / 2 if self.released else curvature
        return jnp.where(third, step.quadratic(state.x, m, slope, curvature), moved)

    def _start(
        self, state: MultistepState, m: X, step: Step, there: Nodes, denoise: Denoise, x: X
    ) -> Float[Array, "batch ..."]:
        """The first step with m' from where it leads, as in Heun's method; `x` for all others."""

        def corrected() -> X:
            m_there = estimated(self.estimate, x, denoise(x, there.level), there.level)
            slope = jnp.where(jnp.isfinite(step.z), m_there - m, 0)
            return step.linear(state.x, m, slope, "midpoint")

        return jax.lax.cond(
            (state.memory.count == 0) & (there.level.sigma > 0), corrected, lambda: x
        )


@solvers.register("dpmpp_2m")
@pytree
class DPMpp2M(DPMMultistep):
    """DPM-Solver++(2M): m' = (D - D')/r from the step before, r = h'/h.

    x_s = sigma_s/sigma_t x_t + alpha_s (1 - exp(-h)) (D + h/(2 h') (D - D')) in its "midpoint"
    variant. The first step, and the last one onto clean data, are of first order.

    Attributes:
        variant: "midpoint" as above, or "taylor" (diffusers: heun).
        last: order of the last steps, see `DPMMultistep`.

    Source: Lu et al. 2022 (DPM-Solver++), algorithm 2.
    """

    formula: ClassVar[str] = (
        "x_s = σ_s/σ_t x_t + α_s (1 − e^(−h)) (D + h/(2h′) (D − D′)), h = (λ_s − λ_t)/2, D′ and h′ "
        "of the step before"
    )


@solvers.register("dpmpp_3m")
@pytree
class DPMpp3M(DPMMultistep):
    """DPM-Solver++(3M): m' and m'' of the parabola through the last three estimates of x_0.

    It starts with a step of Heun's kind, one evaluation more, without which it would be of second
    order only.

    Attributes:
        variant: of the steps of second order.
        last: order of the last steps, see `DPMMultistep`.
        released: as the authors' code and all that follow it have it: a first step of first order,
            and m'' counted half. It is of second order then.

    Source: Lu et al. 2022 (DPM-Solver++), section 4 and appendix B; the released code.
    """

    formula: ClassVar[str] = (
        "x_s = σ_s/σ_t x_t − α_s (ψ₁(−h) D + ψ₂(−h) D₁ + ψ₃(−h) D₂), D₁, D₂ the derivatives by (λ "
        "− λ_t)/(2h) of the parabola through the last three D, ψ₁(z) = e^z − 1, ψ₂ = ψ₁/z − 1, ψ₃ "
        "= ψ₂/z − 1/2, h = (λ_s − λ_t)/2"
    )

    released: bool = static(default=False)  # type: ignore[misc]
    degree = 3


@solvers.register("dpm_solver_2m")
@pytree
class DPMSolver2M(DPMMultistep):
    """DPM-Solver, multistep of second order: m' = (eps - eps')/r from the step before.

    Attributes:
        variant: weight of the slope, see `DPMMultistep`.
        last: order of the last steps, likewise.

    Source: Lu et al. 2022 (DPM-Solver++), appendix B.4 for noise prediction.
    """

    formula: ClassVar[str] = (
        "x_s = α_s/α_t x_t − σ_s (e^h − 1) (ε̂ + h/(2h′) (ε̂ − ε̂′)), h = (λ_s − λ_t)/2, ε̂′ and "
        "h′ of the step before"
    )

    estimate = "epsilon"


@solvers.register("dpm_solver_3m")
@pytree
class DPMSolver3M(DPMpp3M):
    """DPM-Solver, multistep of third order: `DPMpp3M` with the estimated noise for x_0.

    Attributes:
        variant: of the steps of second order.
        last: order of the last steps, see `DPMMultistep`.
        released: as in `DPMpp3M`.

    Source: as `DPMpp3M`.
    """

    formula: ClassVar[str] = (
        "x_s = α_s/α_t x_t − σ_s (ψ₁(h) ε̂ + ψ₂(h) ε₁ + ψ₃(h) ε₂), ε₁, ε₂ the derivatives by (λ − "
        "λ_t)/(2h) of the parabola through the last three ε̂, ψ₁(z) = e^z − 1, ψ₂ = ψ₁/z − 1, ψ₃ = "
        "ψ₂/z − 1/2, h = (λ_s − λ_t)/2"
    )

    estimate = "epsilon"
