"""Reflow: flow matching between noise and what a teacher makes of that very noise."""

from typing import ClassVar

import jax
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, within
from diffusion_jax.fewstep.base import Networks, fewstep
from diffusion_jax.fewstep.straight import StraightPath
from diffusion_jax.process.per_sample import mean_square
from diffusion_jax.process.schedules.exploding import EDM
from diffusion_jax.sampling.grids import Grid, Karras
from diffusion_jax.sampling.loop import sample_from
from diffusion_jax.sampling.solvers import Solver
from diffusion_jax.sampling.solvers.base import Denoise
from diffusion_jax.sampling.solvers.dpm.multistep import DPMpp2M
from diffusion_jax.struct import pytree, static


@fewstep.register("reflow")
@pytree
class Reflow(StraightPath):
    """|v(x_t, t) - (eps - x_0)|² on pairs of noise and what the flow makes of it, t uniform.

    The new flow has the same marginals as the teacher's and straighter paths, so that fewer steps
    follow it; at t = 1 its velocity is eps - x_0 itself, and one step is the teacher's map. (On
    independent pairs the same loss is plain flow matching.) Pairs are made anew in every step of
    the training, so that none is seen twice, and no data is needed: that costs the evaluations of
    the teacher that its solver takes. In the straight path's time; v does not depend on where it
    goes.

    Attributes:
        solver: takes noise along the teacher's flow, without noise of its own.
        steps: that it takes.
        grid: on which it takes them, over EDM's process.

    Source: Liu et al. 2022 (rectified flow), algorithm 1.
    """

    formula: ClassVar[str] = "L = |v(x, t) − (ε − x₀)|², x₀ where the teacher's flow leads from ε"

    solver: Solver = DPMpp2M()
    steps: int = static(default=16)
    grid: Grid = Karras()

    teaches = True
    average = False
    tells_end = False
    draws = 1

    def __post_init__(self) -> None:
        within(self, 1, float("inf"), "steps")
        if self.solver.stochastic or self.solver.adaptive:
            raise UserError("reflow: its solver must take steps of one size, and draw no noise.")

    def loss(
        self,
        networks: Networks,
        x0: Float[Array, "batch ..."],
        eps: Float[Array, "batch ..."],
        uniform: Float[Array, "batch draws"],
        progress: Float[Array, ""],
    ) -> Float[Array, "batch"]:
        x0 = jax.lax.stop_gradient(self.couple(networks.followed(), eps))
        # From (0, 1]: the noise, from which samples are made, is among the times.
        time = 1 - uniform[:, 0]
        x = self.schedule.level(time).mix(x0, eps)
        return mean_square(networks.student(x, time, time) - (eps - x0))

    def couple(self, teacher: Denoise, eps: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        """What the teacher's flow makes of noise: the x_0 that belongs to each eps.

        >>> import jax.numpy as jnp
        >>> to_one = lambda x, level: 0 * x + 1
        >>> Reflow().couple(to_one, jnp.zeros((1, 2))).tolist()
        [[1.0, 1.0]]
        """
        nodes = self.grid(EDM(), self.steps)
        unused = jax.random.split(jax.random.key(0), eps.shape[0])  # the solver draws nothing
        start = nodes.level.sigma[0] * eps
        return sample_from(
            lambda x, level, _: teacher(x, level), self.solver, nodes, start, unused
        )[0]
