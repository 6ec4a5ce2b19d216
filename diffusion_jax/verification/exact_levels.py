"""Levels, and exact denoisers seen through a prediction, to measure solvers on."""

import functools
from collections.abc import Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PyTree

from diffusion_jax.process.denoiser import Denoiser, DenoiserLike, as_denoiser
from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import Coefficients, Prediction, to_x0
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.sampling.grids import Nodes, at_times
from diffusion_jax.struct import Scalar, pytree

T = TypeVar("T")


@pytree
class AtNodes:
    """A prediction given by its coefficients at the nodes of a grid.

    Numbers only, so that one compiled program serves every prediction and schedule. Between nodes
    it has the coefficients of the nearest, which turn a denoiser into a prediction and back as
    well as any.

    Attributes:
        sigma: of the nodes.
        a: coefficient of x_0 at each.
        b: coefficient of eps at each.
    """

    sigma: Float[Array, "nodes"]
    a: Float[Array, "nodes"]
    b: Float[Array, "nodes"]

    def coefficients(self, level: Level) -> Coefficients:
        """(a, b) at the node nearest to each level."""
        nearest = jnp.argmin(jnp.abs(self.sigma - level.sigma[..., None]), axis=-1)
        return self.a[nearest], self.b[nearest]


def tabulated(prediction: Prediction, nodes: Nodes) -> AtNodes:
    """A prediction's coefficients at all noisy nodes of a grid."""
    a, b = prediction.coefficients(nodes.level)
    return AtNodes(nodes.level.sigma, a, b)


def through(prediction: Prediction, denoise: DenoiserLike) -> Denoiser:
    """A denoiser that is turned into a network's prediction, and back into a denoiser."""

    def network_and_back(x: Array, level: Level, condition: PyTree) -> Array:
        x0 = denoise(x, level, condition)
        eps = (x - level.like(x).alpha * x0) / level.like(x).sigma
        a, b = prediction.coefficients(level.like(x))
        return to_x0(a * x0 + b * eps, x, level, prediction)

    return as_denoiser(network_and_back)


@functools.partial(jax.jit, static_argnames="steps")
def between(schedule: Schedule, low: Scalar, high: Scalar, steps: int) -> Nodes:
    """Nodes at equal steps of log-SNR from `low` to `high`, with no clean one."""
    return at_times(schedule, schedule.time(jnp.linspace(low, high, steps + 1)))


def thinned(nodes: Nodes, every: int) -> Nodes:
    """Every so-manieth node, which is the same grid with fewer steps."""
    return jax.tree.map(lambda values: jnp.asarray(np.asarray(values)[::every]), nodes)


def with_clean(nodes: Nodes, count: int = 1) -> Nodes:
    """Appends clean nodes (alpha = 1, sigma = 0; time and rate repeat), in numpy.

    As `grids.append_clean` and `Nodes.pad` do, but nothing is compiled for each length.
    """

    def pad(values: Array, last: float | None = None) -> Array:
        rest = np.asarray(values)[-1] if last is None else last
        return jnp.asarray(np.append(values, np.full(count, rest)))

    if count == 0:
        return nodes
    return Nodes(
        pad(nodes.time),
        Level(pad(nodes.level.alpha, 1), pad(nodes.level.sigma, 0)),
        Level(pad(nodes.rate.alpha), pad(nodes.rate.sigma)),
    )


def stack(parts: Sequence[T]) -> T:
    """Stacks pytrees along a first axis."""
    return jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *parts)


def order_of(errors: ArrayLike | Sequence[float], steps: Sequence[int]) -> Float[np.ndarray, "..."]:
    """Minus the slope of log error over log steps, along the first axis.

    >>> round(float(order_of([1.0, 0.25, 0.0625], (10, 20, 40))), 6)
    2.0
    """
    return np.asarray(-np.polyfit(np.log(steps), np.log(errors), 1)[0])
