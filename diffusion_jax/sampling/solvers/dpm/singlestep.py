"""DPM-Solver and DPM-Solver++, single-step: evaluations between the nodes, none remembered."""

from typing import ClassVar

from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, one_of, ordered, within
from diffusion_jax.process.level import Level
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import (
    Denoise,
    Noise,
    OneStep,
    State,
    halfway,
    solvers,
    unless_clean,
)
from diffusion_jax.sampling.solvers.exponential import X, between, derivatives, estimated
from diffusion_jax.struct import Scalar, pytree, static

ESTIMATES = ("x0", "epsilon")
VARIANTS = ("midpoint", "taylor")
Pair = tuple[Float[Array, "batch ..."], Float[Array, "batch ..."]]


@pytree
class Inner:
    """Where a single step evaluates between its ends, and how it uses what it finds.

    Attributes:
        r1: first evaluation after the start, as a part of the step in log-SNR.
        r2: second one, of steps of third order.
        variant: "midpoint" extrapolates with the last evaluation alone, "taylor" with the
            integrals of a Taylor polynomial through all of them.
    """

    r1: Scalar
    r2: Scalar
    variant: str = static("midpoint")


def second_order(
    estimate: str, x: X, x0: X, ends: tuple[Level, Level], denoise: Denoise, inner: Inner
) -> Pair:
    """Steps of first and second order from one level to another, at one evaluation between them.

    Args:
        estimate: "x0" or "epsilon", what is extrapolated.
        x: where the step starts.
        x0: the denoised estimate there.
        ends: levels to step between, () or (batch,) each.
        denoise: (x, level) → x_0.
        inner: r1 and variant.
    """
    start, end = ends
    middle = halfway(start, end, inner.r1)
    m = estimated(estimate, x, x0, start)
    x1 = between(estimate, start, middle).constant(x, m)
    m1 = estimated(estimate, x1, denoise(x1, middle), middle)
    whole = between(estimate, start, end)
    return whole.constant(x, m), whole.linear(x, m, (m1 - m) / inner.r1, inner.variant)


def third_order(
    estimate: str, x: X, x0: X, ends: tuple[Level, Level], denoise: Denoise, inner: Inner
) -> Pair:
    """Steps of second and third order, at two evaluations between them; arguments as above."""
    (start, end), r1, r2 = ends, inner.r1, inner.r2
    middle, later = halfway(start, end, r1), halfway(start, end, r2)
    m = estimated(estimate, x, x0, start)
    x1 = between(estimate, start, middle).constant(x, m)
    m1 = estimated(estimate, x1, denoise(x1, middle), middle)
    # The slope over the part r2 of the step is r2 times that over the whole.
    x2 = between(estimate, start, later).linear(x, m, r2 / r1 * (m1 - m))
    m2 = estimated(estimate, x2, denoise(x2, later), later)
    whole = between(estimate, start, end)
    lower = whole.linear(x, m, (m1 - m) / r1, inner.variant)
    if inner.variant == "midpoint":
        return lower, whole.linear(x, m, (m2 - m) / r2)
    return lower, whole.quadratic(x, m, *derivatives(m, (r1, m1), (r2, m2)))


@solvers.register("dpm_solver")
@pytree
class DPMSolver(OneStep):
    """Exponential integrator in log-SNR with `order` - 1 evaluations within each step.

    With m the estimate at t, m_1 that at lambda_t + r_1 h after a step of first order, and m_2 that
    at lambda_t + r_2 h after one of second order (the step and psi as in `exponential`):
    order 2: m' = (m_1 - m)/r_1; order 3: m' = (m_2 - m)/r_2 ("midpoint"), or m' and m'' of the
    parabola through all three ("taylor"). Order 1 is DDIM. Onto clean data it returns x_0.

    Attributes:
        order: 1, 2 or 3, evaluations per step.
        estimate: "epsilon" is DPM-Solver, "x0" is DPM-Solver++.
        variant: how a step of second order weighs its slope, with psi_1/2 ("midpoint") or psi_2
            ("taylor"), and what one of third order makes of its evaluations, see above.
        r1: where m_1 is, 1/2 for order 2 and 1/3 for order 3 unless given.
        r2: where m_2 is.

    Source: Lu et al. 2022 (DPM-Solver), algorithms 1-2 and 4-5; Lu et al. 2022 (DPM-Solver++),
    algorithm 1.
    """

    formula: ClassVar[str] = (
        "x_s = α_s/α_t x_t − σ_s (e^h − 1) (ε̂ + (ε̂_m − ε̂)/(2 r1)), ε̂_m at λ_t + r1 (λ_s − "
        "λ_t), for order 2, h = (λ_s − λ_t)/2"
    )

    order: int = static(2)
    estimate: str = static("epsilon")
    variant: str = static("midpoint")
    r1: Scalar | None = None
    r2: Scalar = 2 / 3

    stochastic = False

    def __post_init__(self) -> None:
        if self.order not in (1, 2, 3):
            raise UserError(f"solver 'dpm_solver' has the orders 1, 2 and 3, not {self.order}.")
        one_of(self.estimate, ESTIMATES, "estimate of solver 'dpm_solver'")
        one_of(self.variant, VARIANTS, "variant of solver 'dpm_solver'")
        if self.r1 is not None:
            within(self, 0.01, 1, "r1")
            if self.order == 3:
                ordered(self, "r1", "r2")
        within(self, 0.01, 1, "r2")

    @property
    def needs_signal(self) -> bool:
        """Parts of an infinite step are no places to evaluate at."""
        return self.order > 1

    def evaluations(self, steps: int) -> int:
        return self.order * (steps - 1) + 1

    def step(
        self, state: State, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> State:
        x0 = denoise(state.x, here.level)
        ends = here.level, there.level
        if self.order == 1:
            return State(between("x0", *ends).constant(state.x, x0), x0)
        r1 = self.r1 if self.r1 is not None else 1 / self.order
        scheme = second_order if self.order == 2 else third_order

        def whole() -> State:
            inner = Inner(r1, self.r2, self.variant)
            return State(scheme(self.estimate, state.x, x0, ends, denoise, inner)[1], x0)

        return unless_clean(there, whole, State(there.level.alpha * x0, x0))


@solvers.register(
    "dpmpp_2s",
    formula=(
        "x_s = σ_s/σ_t x_t + α_s (1 − e^(−h)) (D + (D_m − D)/(2 r1)), D_m at λ_t + r1 (λ_s − λ_t), "
        "h = (λ_s − λ_t)/2"
    ),
)
def dpmpp_2s(variant: str = "midpoint", r1: Scalar = 0.5) -> DPMSolver:
    """DPM-Solver++(2S): single-step in x_0, second order, two evaluations a step.

    Args:
        variant: as in `DPMSolver`.
        r1: where in the step the second evaluation is.

    Source: Lu et al. 2022 (DPM-Solver++), algorithm 1.

    >>> dpmpp_2s().evaluations(10)
    19
    """
    return DPMSolver(order=2, estimate="x0", variant=variant, r1=r1)
