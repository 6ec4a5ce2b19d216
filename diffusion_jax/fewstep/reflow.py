"""Reflow: flow matching between noise and what a teacher makes of that very noise."""

from jaxtyping import Array, Float, Key

from diffusion_jax.fewstep.base import Networks, fewstep, square
from diffusion_jax.fewstep.straight import StraightPath
from diffusion_jax.sampling.denoisers import Denoiser
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.sample import sample
from diffusion_jax.sampling.solvers import Solver
from diffusion_jax.struct import pytree


@fewstep.register("reflow")
@pytree
class Reflow(StraightPath):
    """|v(x_t, t) - (eps - x_0)|² on pairs of noise and what the flow makes of it, t uniform.

    Data and noise must be coupled (`couple`): on independent ones this is plain flow matching. The
    new flow has the same marginals and straighter paths, so that fewer steps follow it; at t = 1
    its velocity is eps - x_0 itself, and one step is the teacher's map. In the straight path's
    time; v does not depend on where it goes.

    Source: Liu et al. 2022 (rectified flow), algorithm 1.
    """

    teaches = False
    draws = 1

    def loss(
        self,
        networks: Networks,
        x0: Float[Array, "batch ..."],
        eps: Float[Array, "batch ..."],
        uniform: Float[Array, "batch draws"],
        progress: Float[Array, ""],
    ) -> Float[Array, "batch"]:
        # From (0, 1]: the noise, from which samples are made, is among the times.
        time = 1 - uniform[:, 0]
        x = self.level(time).mix(x0, eps)
        return square(networks.student(x, time, time) - (eps - x0))


def couple(
    teacher: Denoiser,
    solver: Solver,
    nodes: Nodes,
    eps: Float[Array, "batch ..."],
    keys: Key[Array, "batch"],
) -> Float[Array, "batch ..."]:
    """What a deterministic solver makes of noise: the x_0 that belongs to each eps.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> from diffusion_jax.process.schedules import schedules
    >>> from diffusion_jax.sampling.grids import grids
    >>> from diffusion_jax.sampling.solvers import solvers
    >>> nodes = grids.make("uniform")(schedules.make("rectified_flow"), 4)
    >>> to_one = lambda x, level, condition: 0 * x + 1
    >>> keys = jax.random.split(jax.random.key(0), 1)
    >>> couple(to_one, solvers.make("ddim"), nodes, jnp.zeros((1, 2)), keys).tolist()
    [[1.0, 1.0]]
    """
    return sample(teacher, solver, nodes, nodes.level.sigma[0] * eps, keys)[0]
