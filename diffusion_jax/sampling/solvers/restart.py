"""Restart: the noise of an earlier level again, and the steps down from there again."""

import dataclasses
import itertools
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from diffusion_jax.errors import UserError
from diffusion_jax.process.denoiser import Denoiser
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import (
    Denoise,
    Noise,
    Solver,
    State,
    renoised,
    solvers,
)
from diffusion_jax.sampling.solvers.edm import EDMSampler
from diffusion_jax.struct import pytree

# Step counts that show whether a solver's cost grows by the same with each step.
_COUNTS = range(1, 17)


@pytree
class RestartState(State):
    """The state of the current run, and where on the grid it is.

    Attributes:
        run: the inner solver's state.
        nodes: the whole grid.
        index: of the node that x is at, an integer scalar.
    """

    run: State
    nodes: Nodes
    index: Int[Array, ""]


def run_from(nodes: Nodes, index: Int[Array, ""]) -> Nodes:
    """The nodes from one on that a solver visits before it goes up again, padded to as many.

    >>> from diffusion_jax.process.schedules import schedules
    >>> from diffusion_jax.sampling.grids import at_times
    >>> nodes = at_times(schedules.make("edm"), jnp.array([9.0, 1.0, 3.0, 2.0, 1.0]))
    >>> run_from(nodes, jnp.array(0)).time.tolist(), run_from(nodes, jnp.array(2)).time.tolist()
    ([9.0, 1.0, 1.0, 1.0, 1.0], [3.0, 2.0, 1.0, 1.0, 1.0])
    """
    places = jnp.arange(nodes.time.shape[0])
    ends = jnp.append(nodes.rises, True) & (places >= index)
    return nodes[jnp.minimum(places + index, jnp.argmax(ends))]


@solvers.register("restart")
@pytree
class Restart(Solver[RestartState]):
    """Another solver that starts again, with fresh noise, wherever the grid goes back to noise.

    Up from s to s_max, in z = x/alpha and s = sigma/alpha: z <- z + sqrt(s_max² - s²) n. Fresh
    noise makes errors of the past smaller without adding discretisation errors of an SDE. Where to
    go up is the grid's to say, see the grid `restart`; on any other this is the inner solver. Each
    descent is a run of its own: a solver of several steps forgets what was before it.

    Attributes:
        solver: takes the steps towards the data; not one whose start costs further evaluations.

    Source: Xu et al. 2023 (Restart), section 3.

    >>> Restart().evaluations(20)  # of 20 steps down; going up costs none
    39
    """

    formula: ClassVar[str] = (
        "y ← y + √(q_s² − q_t²) z where the grid goes up, else a step of the solver, y = x/α, q = "
        "σ/α"
    )

    solver: Solver = EDMSampler()

    stochastic = True
    goes_back = True

    def __post_init__(self) -> None:
        if self.solver.adaptive:
            raise UserError("Restart: the solver inside must not be an adaptive one.")
        costs = [self.solver.evaluations(steps) for steps in _COUNTS]
        if len({after - before for before, after in itertools.pairwise(costs)}) > 1:
            raise UserError(
                f"Restart: solver {type(self.solver).__name__} starts with evaluations of its own, "
                "which every restart would repeat: use one that does not, like 'dpmpp_2m'."
            )

    @property
    def order(self) -> int:
        """That of the inner solver."""
        return self.solver.order

    @property
    def needs_signal(self) -> bool:
        """Whether the inner solver does."""
        return self.solver.needs_signal

    @property
    def needs_variance(self) -> bool:
        """Whether the inner solver does."""
        return self.solver.needs_variance

    def for_denoiser(self, denoiser: Denoiser) -> Solver:
        return dataclasses.replace(self, solver=self.solver.for_denoiser(denoiser))

    def evaluations(self, steps: int) -> int:
        return self.solver.evaluations(steps)

    def init(self, x: Float[Array, "batch ..."], nodes: Nodes) -> RestartState:
        start = jnp.zeros((), int)
        run = self.solver.init(x, run_from(nodes, start))
        return RestartState(x, jnp.zeros_like(x), run, nodes, start)

    def step(
        self, state: RestartState, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> RestartState:
        index = state.index + 1

        def up() -> RestartState:
            x = renoised(state.x, here.level, there.level, noise(0))
            run = self.solver.init(x, run_from(state.nodes, index))
            return RestartState(x, state.denoised, run, state.nodes, index)

        def down() -> RestartState:
            run = self.solver.step(state.run, here, there, denoise, noise)
            return RestartState(run.x, run.denoised, run, state.nodes, index)

        return jax.lax.cond(there.level.noise_to_signal > here.level.noise_to_signal, up, down)
