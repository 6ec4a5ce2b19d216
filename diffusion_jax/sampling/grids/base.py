"""What a grid is, the nodes that it places, and what grids share."""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from diffusion_jax.errors import UserError
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules import Schedule, log_snr_range, rate
from diffusion_jax.registry import Registry
from diffusion_jax.struct import Scalar, pytree


@pytree
class Nodes:
    """Noise levels in the order in which a solver visits them, and all that it may ask of them.

    Arrays, so that one compiled sampler serves all schedules and step counts.

    Attributes:
        time: the schedule's own time, (nodes,).
        level: noise levels, (nodes,).
        rate: d(alpha)/dt and d(sigma)/dt, (nodes,).
    """

    time: Float[Array, "*nodes"]
    level: Level
    rate: Level

    def __getitem__(self, index: "int | slice | Array") -> "Nodes":
        """The node at `index`, with scalars in place of arrays, or the nodes of a slice."""
        return jax.tree.map(lambda values: values[index], self)

    @property
    def moves(self) -> Bool[Array, "steps"]:
        """Which steps start from noise and lead elsewhere; padding does not."""
        alpha, sigma = self.level.alpha, self.level.sigma
        stays = (sigma[1:] == sigma[:-1]) & (alpha[1:] == alpha[:-1])
        return (sigma[:-1] > 0) & ~stays

    @property
    def rises(self) -> Bool[Array, "steps"]:
        """Which steps lead back to more noise; padding does not."""
        ratio = self.level.noise_to_signal
        return ratio[1:] > ratio[:-1]

    @property
    def steps(self) -> Array:
        """Number of steps that start from noise; padding does not count."""
        return jnp.sum(self.moves)

    def pad(self, steps: int) -> "Nodes":
        """Repeats the last node until there are `steps` steps, of which the new ones do nothing.

        Grids padded to one length share one compiled sampler.

        Raises:
            UserError: the grid is longer already.
        """
        missing = steps + 1 - self.time.shape[0]
        if missing < 0:
            raise UserError(f"cannot pad {self.time.shape[0] - 1} steps to {steps}.")
        return jax.tree.map(lambda values: jnp.pad(values, (0, missing), mode="edge"), self)


@runtime_checkable
class Grid(Protocol):
    """A rule that places the nodes."""

    def __call__(self, schedule: Schedule, steps: int) -> Nodes:
        """The nodes of `steps` steps over `schedule`, (steps + 1,).

        The last of them is clean, except for `until_noisy`; none is noisier than the one before it,
        except on a grid that `Rises`.

        Raises:
            UserError: a schedule, or a number of steps, that it cannot serve.
        """
        ...


@runtime_checkable
class Rises(Protocol):
    """A grid that goes back to more noise."""

    @property
    def rises(self) -> int:
        """How many of its steps do, whatever their number; those cost no evaluations."""
        ...


grids: Registry[Grid] = Registry("grid")


def check_call(grid: Grid, schedule: Schedule, steps: int) -> None:
    """Refuses what a grid cannot be made of.

    Raises:
        UserError: something that is no schedule, or a number of steps that is none.
    """
    name = type(grid).__name__
    if not isinstance(schedule, Schedule) or isinstance(schedule, type):
        raise UserError(
            f"{name}() takes a schedule and a number of steps, such as (Cosine(), 20), and was "
            f"given {schedule!r} first."
        )
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise UserError(f"{name}() takes a whole number of steps, 1 or more, not {steps!r}.")


def rises(grid: Grid) -> int:
    """How many steps of a grid lead back to more noise, and need no evaluations."""
    return grid.rises if isinstance(grid, Rises) else 0


def at_times(schedule: Schedule, time: Float[Array, "nodes"]) -> Nodes:
    """Nodes at given times of a schedule, noisiest first; nothing is appended.

    >>> from diffusion_jax.process.schedules import schedules
    >>> nodes = at_times(schedules.make("rectified_flow"), jnp.array([1.0, 0.5]))
    >>> [float(sigma) for sigma in nodes.level.sigma]
    [1.0, 0.5]
    """
    return Nodes(time, schedule.level(time), rate(schedule, time))


@jax.jit
def append_clean(nodes: Nodes) -> Nodes:
    """Appends the node of clean data, alpha = 1 and sigma = 0.

    Its time and rate are those of the node before it: no solver uses them, since the last step
    goes straight to the denoised estimate.
    """
    padded = nodes.pad(nodes.time.shape[0])
    level = Level(padded.level.alpha.at[-1].set(1), padded.level.sigma.at[-1].set(0))
    return Nodes(padded.time, level, padded.rate)


def make(grid: Grid, schedule: Schedule, steps: int) -> Nodes:
    """The nodes of a grid.

    Raises:
        UserError: fewer than one step.
    """
    if steps < 1:
        raise UserError(f"a sampler needs at least 1 step, not {steps}.")
    return grid(schedule, steps)


def log_snr_ends(
    schedule: Schedule, sigma_min: Scalar, sigma_max: Scalar
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The (lowest, highest) log-SNR within both the schedule and sigma_min … sigma_max."""
    lowest, highest = log_snr_range(schedule)
    return (
        jnp.maximum(lowest, -2 * jnp.log(sigma_max)),
        jnp.minimum(highest, -2 * jnp.log(sigma_min)),
    )


def check_falls(time: Float[Array, "nodes"], why: str) -> None:
    """Refuses times that do not fall from node to node, if they are known by now.

    Raises:
        UserError: a time that occurs twice, and `why` that may be.
    """
    if not isinstance(time, jax.core.Tracer) and bool((time[1:] >= time[:-1]).any()):
        raise UserError(f"the grid has no {time.shape[0]} different times here: {why}.")


def at_log_snr(schedule: Schedule, log_snr: Float[Array, "nodes"]) -> Nodes:
    """Nodes at given log-SNR, lowest first, none of them outside of the schedule, then a clean one.

    >>> from diffusion_jax.process.schedules import schedules
    >>> nodes = at_log_snr(schedules.make("edm"), jnp.zeros(1))
    >>> [float(sigma) for sigma in nodes.level.sigma]
    [1.0, 0.0]
    """
    time = jnp.clip(schedule.time(log_snr), schedule.t_min, schedule.t_max)
    check_falls(time, "they are too close to each other, or beyond the end of the schedule")
    return append_clean(at_times(schedule, time))
