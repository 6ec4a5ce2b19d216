"""DPM-Solver-fast: single steps over groups of nodes, one evaluation at each node."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from diffusion_jax.errors import UserError, one_of, within
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import Denoise, Noise, Solver, State, adds_noise, solvers
from diffusion_jax.sampling.solvers.dpm.singlestep import ESTIMATES, VARIANTS
from diffusion_jax.sampling.solvers.exponential import (
    Step,
    X,
    between,
    derivatives,
    estimated,
)
from diffusion_jax.struct import Scalar, pytree, static

LAST = ("even", "greedy", "falling")


@pytree
class GroupState(State):
    """A `State` that knows the group of nodes that it is in.

    Attributes:
        start: x at the first node of the group, (batch, ...).
        estimates: of x_0 or eps at the group's first and second node, (2, batch, ...).
        nodes: these two nodes, (2,).
        size: how many nodes the group has; an integer scalar.
        position: how many of them are behind, likewise.
        left: how many nodes are left, likewise.
        denoises: whether the last step leads to clean data.
    """

    start: Float[Array, "batch ..."]
    estimates: Float[Array, "2 batch ..."]
    nodes: Nodes
    size: Int[Array, ""]
    position: Int[Array, ""]
    left: Int[Array, ""]
    denoises: Array


@solvers.register("dpm_solver_fast")
@pytree
class DPMSolverFast(Solver[GroupState]):
    """Single steps that span up to `size` nodes, whose inner nodes are where they evaluate.

    A group of k nodes t_0, … t_(k-1) and its end s is one step of order k of `dpm_solver`, with
    r_i = (lambda_i - lambda_0)/(lambda_s - lambda_0): so N steps cost N evaluations for any N.
    At the nodes within a group, the state is the intermediate result. The step onto clean data is
    a group of its own.

    Attributes:
        size: 1, 2 or 3, nodes in a group.
        estimate: "epsilon" is DPM-Solver, "x0" is DPM-Solver++.
        variant: as in `dpm_solver`, at the end of a group.
        inner: the same for the step of second order to the third node of a group.
        last: sizes of the last groups where N is no multiple of the size: "even" leaves the rest
            to groups of size 2 (… 3, 2, 2); "greedy" takes what is left, (… 3, 3, 1), and
            "falling" has a group of each lower size at the end, (… 3, 2, 1). A single group of
            size 1 leaves an error of second order.
        eta: how much of the process's noise is put back at each node (see `exponential`).

    Source: Lu et al. 2022 (DPM-Solver), section 3.3 and appendix D.3.
    """

    formula: ClassVar[str] = (
        "x_s = the step of dpm_solver of order k over k nodes, its inner evaluations at rᵢ = (λᵢ − "
        "λ_t)/(λ_s − λ_t)"
    )

    size: int = static(3)
    estimate: str = static("epsilon")
    variant: str = static("midpoint")
    inner: str = static("taylor")
    last: str = static("even")
    eta: Scalar = 0.0

    @property
    def stochastic(self) -> bool:
        """Whether noise is put back."""
        return adds_noise(self.eta)

    def __post_init__(self) -> None:
        if self.size not in (1, 2, 3):
            raise UserError(f"solver 'dpm_solver_fast' has groups of 1, 2 or 3, not {self.size}.")
        one_of(self.estimate, ESTIMATES, "estimate of solver 'dpm_solver_fast'")
        one_of(self.variant, VARIANTS, "variant of solver 'dpm_solver_fast'")
        one_of(self.inner, VARIANTS, "inner of solver 'dpm_solver_fast'")
        one_of(self.last, LAST, "last of solver 'dpm_solver_fast'")
        within(self, 0, float("inf"), "eta")

    @property
    def order(self) -> int:
        """One step of first order leaves an error of second order."""
        return self.size if self.last == "even" else min(self.size, 2)

    @property
    def needs_signal(self) -> bool:
        """Parts of an infinite step are no places to evaluate at."""
        return self.size > 1 or self.estimate == "epsilon"

    def evaluations(self, steps: int) -> int:
        return steps

    def init(self, x: Float[Array, "batch ..."], nodes: Nodes) -> GroupState:
        zero, nothing = jnp.zeros((), int), jnp.zeros_like(x)
        first = jax.tree.map(lambda values: jnp.stack([values[0]] * 2), nodes)
        denoises = nodes.level.sigma[-1] == 0
        estimates = jnp.stack([nothing, nothing])
        return GroupState(x, nothing, x, estimates, first, zero, zero, nodes.steps, denoises)

    def step(
        self, state: GroupState, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> GroupState:
        x0 = denoise(state.x, here.level)
        m = estimated(self.estimate, state.x, x0, here.level)
        opens = state.position == state.size
        position = jnp.where(opens, 0, state.position)
        size = jnp.where(opens, self._size(state.left - state.denoises), state.size)
        start = jnp.where(opens, state.x, state.start)
        is_here = position == jnp.arange(2)
        estimates = jnp.where(is_here.reshape(2, *[1] * m.ndim), m, state.estimates)
        nodes = jax.tree.map(lambda new, old: jnp.where(is_here, new, old), here, state.nodes)

        step = between(self.estimate, nodes[0].level, there.level, self.eta)
        taus = self._taus(nodes, here, there, position)
        x = self._from_start(step, start, (estimates[0], estimates[1], m), taus, (position, size))
        x = x + step.spread * noise(0)
        x = jnp.where(there.level.sigma > 0, x, there.level.alpha * x0)
        place = (size, position + 1, state.left - 1, state.denoises)
        return GroupState(x, x0, start, estimates, nodes, *place)

    def _size(self, left: Array) -> Array:
        """The size of a group that opens with `left` nodes to go before the clean one."""
        size = jnp.clip(left, 1, self.size)
        if self.last == "falling":
            return jnp.where(left == self.size, max(self.size - 1, 1), size)
        if self.last == "even" and self.size == 3:
            return jnp.where(left == 4, 2, size)
        return size

    def _taus(self, nodes: Nodes, here: Nodes, there: Nodes, position: Array) -> list[Array]:
        """Where in the step from the group's first node its second one and this one are."""
        first, end = nodes[0].level.log_snr, there.level.log_snr
        places = jnp.stack([nodes[1].level.log_snr, here.level.log_snr])
        # Before they are there, anything that can be divided by.
        there_yet = jnp.stack([position > 1, position > 0])
        taus = jnp.where(there_yet, (places - first) / (end - first), jnp.array([0.5, 1.0]))
        return [taus[0], taus[1]]

    def _from_start(
        self,
        step: Step,
        start: X,
        estimates: tuple[X, X, X],
        taus: list[Array],
        place: tuple[Array, Array],
    ) -> Float[Array, "batch ..."]:
        """The step from the group's first node, of the order that its evaluations allow."""
        (first, second, m), (position, size) = estimates, place
        slope = (m - first) / taus[1]
        one = step.constant(start, first)
        ending = step.linear(start, first, slope, self.variant)
        within = step.linear(start, first, slope, self.inner)
        two = jnp.where(size == 2, ending, within)
        if self.variant == "midpoint":
            three = step.linear(start, first, slope)
        else:
            curve = derivatives(first, (taus[0], second), (taus[1], m))
            three = step.quadratic(start, first, *curve)
        return jnp.where(position == 0, one, jnp.where(position == 1, two, three))
