"""Exact denoisers seen through any prediction, and levels to measure solvers on."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import Coefficients, Prediction, to_x0
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.sampling.denoisers import Denoiser
from diffusion_jax.sampling.grids import Grid, Nodes, at_times, make
from diffusion_jax.struct import pytree


@pytree
class AtNodes:
    """A prediction given by its coefficients at the nodes of a grid.

    Numbers only, so that one compiled program serves every prediction and schedule. A network is
    only ever asked at the nodes, so this is all there is to know of its prediction.
    """

    sigma: Float[Array, "nodes"]
    a: Float[Array, "nodes"]
    b: Float[Array, "nodes"]

    def coefficients(self, level: Level) -> Coefficients:
        nearest = jnp.argmin(jnp.abs(self.sigma - level.sigma[..., None]), axis=-1)
        return self.a[nearest], self.b[nearest]


def tabulated(prediction: Prediction, nodes: Nodes) -> AtNodes:
    """A prediction's coefficients at all noisy nodes of a grid."""
    a, b = prediction.coefficients(nodes.level)
    return AtNodes(nodes.level.sigma, a, b)


def through(prediction: Prediction, denoise: Denoiser) -> Denoiser:
    """A denoiser that is turned into a network's prediction, and back into a denoiser."""

    def network_and_back(x: Array, level: Level, condition: object) -> Array:
        x0 = denoise(x, level, condition)
        eps = (x - level.like(x).alpha * x0) / level.like(x).sigma
        a, b = prediction.coefficients(level.like(x))
        return to_x0(a * x0 + b * eps, x, level, prediction)

    return network_and_back


@functools.partial(jax.jit, static_argnames="steps")
def between(schedule: Schedule, low: float, high: float, steps: int) -> Nodes:
    """Nodes at equal steps of log-SNR from `low` to `high`, with no clean one."""
    return at_times(schedule, schedule.time(jnp.linspace(low, high, steps + 1)))


@functools.partial(jax.jit, static_argnames="steps")
def compiled(grid: Grid, schedule: Schedule, steps: int) -> Nodes:
    """The nodes of a grid, in one compiled program: quicker where no other test has this shape."""
    return make(grid, schedule, steps)


def thinned(nodes: Nodes, every: int) -> Nodes:
    """Every so-manieth node, which is the same grid with fewer steps."""
    return jax.tree.map(lambda values: jnp.asarray(np.asarray(values)[::every]), nodes)


def stack(parts: list) -> object:
    """Stacks pytrees along a first axis."""
    return jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *parts)


def order_of(errors: np.ndarray, steps: tuple[int, ...]) -> np.ndarray:
    """Minus the slope of log error over log steps, along the first axis."""
    return -np.polyfit(np.log(steps), np.log(errors), 1)[0]
