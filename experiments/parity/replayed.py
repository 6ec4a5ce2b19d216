"""A solver that is handed the noise of another run."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers import Solver
from diffusion_jax.sampling.solvers.base import Denoise, Noise
from diffusion_jax.sampling.solvers.dpm.singlestep_sde import DPMppSDE, shared_part
from diffusion_jax.struct import pytree


@pytree
class Replayed(Solver[Any]):
    """A solver with noise that was drawn before.

    Attributes:
        solver: takes the steps.
        nodes: the grid, by which steps are known.
        draws: the noise of each step, (steps, draws, batch, ...); of steps behind the last, zeros.
    """

    solver: Any
    nodes: Nodes
    draws: Float[Array, "steps draws batch ..."]

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
        return self.solver.step(state, here, there, denoise, lambda k: drawn[k])


def draws_of(
    solver: Solver[Any], nodes: Nodes, noises: Float[Array, "draws batch ..."]
) -> Float[Array, "steps draws batch ..."]:
    """The draws of each step by which a solver puts back noise that was drawn one after another.

    Of DPM-Solver's for the SDE there are two a step, n_m and n, where ours has
    n = rho n_m + sqrt(1 - rho²) n'.

    Args:
        solver: takes the steps.
        nodes: the grid.
        noises: as they were drawn.
    """
    if not isinstance(solver, DPMppSDE):
        return noises[:, None]
    ratio = nodes.level.noise_to_signal
    middle, end = noises[::2], noises[1::2]
    here, there = ratio[: len(end)], ratio[1 : len(end) + 1]
    rho = shared_part(here, jnp.sqrt(here * there), there)
    rho = rho.reshape(-1, *[1] * (noises.ndim - 1))
    return jnp.stack([middle, (end - rho * middle) / jnp.sqrt(1 - rho**2)], axis=1)
