"""Runge-Kutta methods of third and fourth order, whose stages are at the nodes of a grid."""

from collections.abc import Callable
from typing import ClassVar, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from diffusion_jax.errors import one_of
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import Denoise, Noise, Solver, State, solvers
from diffusion_jax.sampling.solvers.euler import velocity
from diffusion_jax.struct import pytree, static

# A method: the node that each stage is at; and the parts of the step with which the slopes before
# it make each stage but the first, and last those that make the step.
Tableau = tuple[tuple[int, ...], tuple[tuple[float, ...], ...]]

EULER: Tableau = (0,), ((1,),)
HEUN: Tableau = (0, 1, 2), ((1 / 3,), (0, 2 / 3), (1 / 4, 0, 3 / 4))
CLASSICAL: Tableau = (0, 1, 1, 2), ((1 / 2,), (0, 1 / 2), (0, 0, 1), (1 / 6, 1 / 3, 1 / 3, 1 / 6))
THREE_EIGHTHS: Tableau = (
    (0, 1, 2, 3),
    ((1 / 3,), (-1 / 3, 1), (1, -1, 1), (1 / 8, 3 / 8, 3 / 8, 1 / 8)),
)
# What takes 1, 2 and 3 steps of the grid, so that the whole keeps its order.
METHODS = {"heun": (EULER, CLASSICAL, HEUN), "three_eighths": (EULER, CLASSICAL, THREE_EIGHTHS)}
ORDERS = {"heun": 3, "three_eighths": 4}
LARGEST = 3
STAGES = 4  # at most
Count = TypeVar("Count", int, Int[Array, ""])


# The derivatives at 0, 1, … of the polynomial through values there, for 1, 2 and 3 steps.
DERIVATIVES = (
    ((-1, 1), (-1, 1)),
    ((-3 / 2, 2, -1 / 2), (-1 / 2, 0, 1 / 2), (1 / 2, -2, 3 / 2)),
    (
        (-11 / 6, 3, -3 / 2, 1 / 3),
        (-1 / 3, -1 / 2, 1, -1 / 6),
        (1 / 6, -1, 1 / 2, 1 / 3),
        (-1 / 3, 3 / 2, -3, 11 / 6),
    ),
)


@pytree
class StageState(State):
    """A `State` that knows which stage of the method's own step it is.

    Attributes:
        start: x at the first node of the step, (batch, ...).
        slopes: of the stages so far, (stages, batch, ...).
        times: of all nodes of the grid, (nodes,).
        index: of the node that x is at, an integer scalar.
        size: how many steps of the grid the method's own spans, likewise.
        position: how many of them are behind, likewise.
        left: how many steps of the grid are left, likewise, but for one onto clean data.
    """

    start: Float[Array, "batch ..."]
    slopes: Float[Array, "stages batch ..."]
    times: Float[Array, "nodes"]
    index: Int[Array, ""]
    size: Int[Array, ""]
    position: Int[Array, ""]
    left: Int[Array, ""]


@solvers.register("runge_kutta")
@pytree
class RungeKutta(Solver[StageState]):
    """x_u = x_t + sum_i b_i k_i with k_i the slope at t_i, of x_t + sum_j a_ij k_j.

    A step of the method is three of the grid, at whose nodes its stages are. It integrates
    dx/ds = t'(s) dx/dt, with s the number of a node and t(s) the cubic through these four: in s
    they are evenly spaced. Where they are in t too, that is the method as published, and elsewhere
    one of the same order. Steps that are left over are taken two by two, by the classical method
    of fourth order; the last one, onto clean data, by itself.

    Attributes:
        method: "heun", of third order, with an evaluation a step; or "three_eighths", of fourth,
            with one more at the end of each three.

    Source: Heun 1900 and Kutta 1901; Hairer, Norsett & Wanner 1993, II.1, tables 1.1 and 1.2.

    >>> RungeKutta().evaluations(13), RungeKutta("heun").evaluations(13)
    (17, 13)
    >>> RungeKutta().evaluations(3), RungeKutta("heun").evaluations(3)  # two steps left over
    (5, 5)
    """

    formula: ClassVar[str] = "x_u = x_t + Σᵢ bᵢ kᵢ, kᵢ = dx/dt at tᵢ of x_t + Σⱼ aᵢⱼ kⱼ"

    method: str = static("three_eighths")

    stochastic = False

    def __post_init__(self) -> None:
        one_of(self.method, METHODS, "method of solver 'runge_kutta'")

    @property
    def order(self) -> int:
        """Of the method."""
        return ORDERS[self.method]

    def evaluations(self, steps: int) -> int:
        left, count = steps - 1, 1
        while left > 0:
            size = _size(left)
            count += len(METHODS[self.method][size - 1][0])
            left -= size
        return count

    def init(self, x: Float[Array, "batch ..."], nodes: Nodes) -> StageState:
        zero, nothing = jnp.zeros((), int), jnp.zeros_like(x)
        left = nodes.steps - (nodes.level.sigma[-1] == 0)
        slopes = jnp.zeros((STAGES, *x.shape), x.dtype)
        return StageState(x, nothing, x, slopes, nodes.time, zero, zero, zero, left)

    def step(
        self, state: StageState, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> StageState:
        x0 = denoise(state.x, here.level)
        opens = state.position == state.size
        position = jnp.where(opens, 0, state.position)
        size = jnp.where(opens, _size(state.left), state.size)
        start = jnp.where(opens, state.x, state.start)
        first = state.index - position
        last = state.times.shape[0] - 1
        times = state.times[jnp.minimum(first + jnp.arange(LARGEST + 1), last)]
        now = velocity(state.x, x0, here)

        def taken(size: int, position: int) -> Callable[[], tuple[Array, Array, Array]]:
            places, rows = METHODS[self.method][size - 1]
            # The length of the step, in nodes, times t'(s) at each of them.
            lengths = size * jnp.array(DERIVATIVES[size - 1], times.dtype) @ times[: size + 1]

            def made(row: tuple[float, ...], slopes: Array) -> Array:
                return start + jnp.tensordot(jnp.array(row, slopes.dtype), slopes[: len(row)], 1)

            def take() -> tuple[Array, Array, Array]:
                stage = places.index(position)
                slopes = state.slopes.at[stage].set(lengths[position] * now)
                denoised = x0
                # Further stages at this node, and in the last step of the grid also at the end.
                reached = size if position == size - 1 else position
                while stage + 1 < len(places) and places[stage + 1] <= reached:
                    stage += 1
                    node = here if places[stage] == position else there
                    x = made(rows[stage - 1], slopes)
                    denoised = denoise(x, node.level)
                    slope = lengths[places[stage]] * velocity(x, denoised, node)
                    slopes = slopes.at[stage].set(slope)
                return made(rows[stage], slopes), denoised, slopes

            return take

        branches = [taken(size, at) for size in range(1, LARGEST + 1) for at in range(size)]
        branch = size * (size - 1) // 2 + position
        x, denoised, slopes = jax.lax.switch(branch, branches)
        x = jnp.where(there.level.sigma > 0, x, there.level.alpha * x0)
        place = (state.index + 1, size, position + 1, state.left - 1)
        return StageState(x, denoised, start, slopes, state.times, *place)


def _size(left: Count) -> Count:
    """How many steps of the grid are taken at once, if so many are left: 1, 2 or 3."""
    return 1 + (left > 1) * (1 + (left != 2) * (left != 4))
