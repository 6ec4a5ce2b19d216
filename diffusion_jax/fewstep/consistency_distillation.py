"""Consistency distillation: a consistency model from a denoiser."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, ordered, positive, within
from diffusion_jax.fewstep.base import Networks, fewstep
from diffusion_jax.fewstep.edm_time import EDMTime, on_karras_grid
from diffusion_jax.process.denoiser import as_denoiser
from diffusion_jax.process.level import Level
from diffusion_jax.process.per_sample import mean_square, wide
from diffusion_jax.sampling.each import each
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers import Solver
from diffusion_jax.sampling.solvers.base import Denoise
from diffusion_jax.sampling.solvers.heun import Heun
from diffusion_jax.struct import Scalar, pytree, static


@fewstep.register("consistency_distillation")
@pytree
class ConsistencyDistillation(EDMTime):
    """|f(x', t') - f(x, t)|², where x is a solver's step of the teacher's flow from x' at t' to t.

    x' = x_0 + t' eps, and t < t' are neighbours on EDM's grid, each interval as likely as others.
    The second f is a constant. In EDM's time.

    Attributes:
        sigma_data: standard deviation of the data.
        sigma_min: the least noise, at which f changes nothing.
        sigma_max: the most noise.
        rho: of EDM's grid.
        intervals: of the grid; one less than the paper's N.
        solver: takes the step: any without noise that needs no more than two nodes.
        average: whether the second f is that of the moving average of the parameters.

    Source: Song et al. 2023 (consistency models), algorithm 2.
    """

    formula: ClassVar[str] = (
        "L = |f(x′, t′) − f(x, t)|², x′ = x₀ + t′ ε, x a step of the teacher's flow from x′ at t′ "
        "to t"
    )

    sigma_data: Scalar = 0.5
    sigma_min: Scalar = 0.002
    sigma_max: Scalar = 80.0
    rho: Scalar = 7.0
    intervals: Scalar = 17
    solver: Solver = Heun()
    average: bool = static(default=True)

    teaches = True
    draws = 1

    def __post_init__(self) -> None:
        positive(self, "sigma_data", "sigma_min", "sigma_max", "rho")
        ordered(self, "sigma_min", "sigma_max")
        within(self, 1, float("inf"), "intervals")
        if self.solver.stochastic:
            raise UserError("consistency_distillation: its solver must not draw noise.")

    def loss(
        self,
        networks: Networks,
        x0: Float[Array, "batch ..."],
        eps: Float[Array, "batch ..."],
        uniform: Float[Array, "batch draws"],
        progress: Float[Array, ""],
    ) -> Float[Array, "batch"]:
        ends = self.rho, self.sigma_min, self.sigma_max
        index = jnp.floor(uniform[:, 0] * self.intervals)
        low, high = (on_karras_grid((index + k) / self.intervals, *ends) for k in (0, 1))
        x = x0 + wide(high, eps) * eps
        before = along_the_flow(networks.followed(), self.solver, x, high, low)
        wanted = self.consistent(networks.target, before, low)
        found = self.consistent(networks.student, x, high)
        return mean_square(found - jax.lax.stop_gradient(wanted))


def along_the_flow(
    teacher: Denoise,
    solver: Solver,
    x: Float[Array, "batch ..."],
    start: Float[Array, "batch"],
    end: Float[Array, "batch"],
) -> Float[Array, "batch ..."]:
    """One step of a solver from sigma = `start` to `end`, which differ from sample to sample.

    >>> to_zero = lambda x, level: 0 * x
    >>> from_two, to_one = jnp.array([2.0]), jnp.array([1.0])
    >>> along_the_flow(to_zero, Heun(), jnp.ones((1, 2)), from_two, to_one).tolist()
    [[0.5, 0.5]]
    """

    example = x, Level(jnp.ones_like(start), start)
    teacher_of_one = each(lambda given: teacher(*given), example)

    def one(x: Array, start: Array, end: Array) -> Array:
        time = jnp.stack([start, end])
        one, zero = jnp.ones_like(time), jnp.zeros_like(time)
        nodes = Nodes(time, Level(one, time), Level(zero, one))
        state = solver.init(x[None], nodes)
        draws = lambda k: jnp.zeros_like(x[None])  # noqa: E731
        denoise = as_denoiser(lambda x, level, condition: teacher_of_one((x[0], level))[None])
        return solver.step(state, nodes[0], nodes[1], denoise, draws).x[0]

    return jax.vmap(one)(x, start, end)
