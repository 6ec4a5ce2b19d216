"""A solver that is handed the noise of another run."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers import Solver
from diffusion_jax.sampling.solvers.base import Denoise, Noise
from diffusion_jax.struct import pytree


@pytree
class Replayed(Solver[Any]):
    """A solver that draws one noise a step, with noise that was drawn before.

    Attributes:
        solver: takes the steps.
        nodes: the grid, by which steps are known.
        draws: the noise of each step, (steps, batch, ...); none is zeros.
    """

    solver: Any
    nodes: Nodes
    draws: Float[Array, "steps batch ..."]

    @property
    def order(self) -> int:
        return int(self.solver.order)

    @property
    def stochastic(self) -> bool:
        return bool(self.solver.stochastic)

    @property
    def needs_variance(self) -> bool:
        return bool(self.solver.needs_variance)

    def init(self, x: Float[Array, "batch ..."], nodes: Nodes) -> Any:
        """As of the solver."""
        return self.solver.init(x, nodes)

    def step(self, state: Any, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise) -> Any:
        """As of the solver, with the noise of this step."""
        index = jnp.argmin(jnp.abs(self.nodes.time - here.time))
        known = jnp.where(index < len(self.draws), 1, 0)
        drawn = known * self.draws[jnp.minimum(index, len(self.draws) - 1)]
        return self.solver.step(state, here, there, denoise, lambda k: drawn)
