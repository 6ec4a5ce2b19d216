"""The midpoint method in the schedule's own time."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import Denoise, Noise, Solver, State, solvers
from diffusion_jax.sampling.solvers.euler import velocity
from diffusion_jax.struct import pytree


@pytree
class HalfState(State):
    """A `State` that knows where the midpoint method's own step began.

    Attributes:
        start: x there, (batch, ...).
        time: of that node, a scalar.
        inside: whether x is at the middle of that step; a scalar.
    """

    start: Float[Array, "batch ..."]
    time: Float[Array, ""]
    inside: Bool[Array, ""]


@solvers.register("midpoint")
@pytree
class Midpoint(Solver[HalfState]):
    """x_u = x_t + (u - t) dx/dt at s, of the Euler estimate x_s = x_t + (s - t) dx/dt.

    A step of the method is two of the grid, t to s and s to u, so that each evaluation is at a
    node: as many evaluations as nodes. A last one left over is Euler's.

    Source: Runge 1895; Hairer, Norsett & Wanner 1993, II.1, eq. 1.5.
    """

    formula: ClassVar[str] = (
        "x_u = x_t + (u − t) f(x_s, s), x_s = x_t + (s − t) f(x_t, t), f = dx/dt"
    )

    order = 2
    stochastic = False

    def init(self, x: Float[Array, "batch ..."], nodes: Nodes) -> HalfState:
        return HalfState(x, jnp.zeros_like(x), x, nodes.time[0], jnp.array(False))

    def step(
        self, state: HalfState, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> HalfState:
        x0 = denoise(state.x, here.level)
        start = jnp.where(state.inside, state.start, state.x)
        time = jnp.where(state.inside, state.time, here.time)
        x = start + (there.time - time) * velocity(state.x, x0, here)
        x = jnp.where(there.level.sigma > 0, x, there.level.alpha * x0)
        return HalfState(x, x0, start, time, ~state.inside)
