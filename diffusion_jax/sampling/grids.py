"""Grids: the noise levels that a solver steps through, from noise to data.

A grid says where the steps are, a solver how to take them. Each grid of N steps has N noisy
nodes and ends on clean data (alpha = 1, sigma = 0).
"""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, ordered, positive, within
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules import Schedule, log_snr_range, rate
from diffusion_jax.registry import Registry
from diffusion_jax.struct import Scalar, pytree, static


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
    def steps(self) -> Array:
        """Number of steps that start from noise; padding does not count."""
        return jnp.sum(self.level.sigma[:-1] > 0)

    def pad(self, steps: int) -> "Nodes":
        """Repeats the last node until there are `steps` steps; they do nothing once data is clean.

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
    """A way to place the nodes."""

    def __call__(self, schedule: Schedule, steps: int) -> Nodes:
        """The nodes of `steps` steps over `schedule`, (steps + 1,), the last of them clean."""
        ...


grids: Registry[Grid] = Registry("grid")


def at_times(schedule: Schedule, time: Float[Array, "nodes"]) -> Nodes:
    """Nodes at given times of a schedule, noisiest first; nothing is appended.

    >>> from diffusion_jax.process.schedules import schedules
    >>> nodes = at_times(schedules.make("rectified_flow"), jnp.array([1.0, 0.5]))
    >>> [float(sigma) for sigma in nodes.level.sigma]
    [1.0, 0.5]
    """
    return Nodes(time, schedule.level(time), rate(schedule, time))


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


@grids.register("uniform")
@pytree
class Uniform:
    """Equal steps in the schedule's own time.

    t_i = t_max + i/N (t_min - t_max) for i = 0 … N - 1, then clean data.
    """

    def __call__(self, schedule: Schedule, steps: int) -> Nodes:
        time = jnp.linspace(schedule.t_max, schedule.t_min, steps + 1)[:-1]
        return append_clean(at_times(schedule, time))


def check_reached(schedule: Schedule, last: Float[Array, ""]) -> None:
    """Refuses labels below the least noisy time of a schedule, if both are known by now.

    Raises:
        UserError: a table with fewer entries than the network has labels, for one.
    """
    least = schedule.t_min
    traced = any(isinstance(value, jax.core.Tracer) for value in (last, least))
    if not traced and last < jnp.asarray(least, last.dtype):
        raise UserError(
            f"the grid's last label has time {float(last):g}, where the schedule has no level: it "
            f"starts at {float(least):g}. Take fewer steps, or set train_steps."
        )


@grids.register("trailing")
@pytree
class Trailing:
    """Equal steps down from the last of the labels that a discrete-time network was trained on.

    t_i = t_max round(T (1 - i/N))/T for i = 0 … N - 1, then clean data.

    Attributes:
        train_steps: T, the number of discrete times in training.

    Source: Lin et al. 2023 (zero terminal SNR), table 2.
    """

    train_steps: int = static(1000)

    def __post_init__(self) -> None:
        within(self, 1, float("inf"), "train_steps")

    def __call__(self, schedule: Schedule, steps: int) -> Nodes:
        if steps > self.train_steps:
            raise UserError(
                f"grid 'trailing' has only {self.train_steps} times, too few for {steps} steps."
            )
        # Whole numbers, so that no halfway case depends on how a float was rounded before.
        labels = [round(self.train_steps * (steps - i) / steps) for i in range(steps)]
        # The quotient first, so that the first time is t_max itself.
        time = schedule.t_max * (jnp.array(labels, dtype=float) / self.train_steps)
        check_reached(schedule, time[-1])
        return append_clean(at_times(schedule, time))


def _log_snr_ends(
    schedule: Schedule, sigma_min: Scalar, sigma_max: Scalar
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The (lowest, highest) log-SNR within both the schedule and sigma_min … sigma_max."""
    lowest, highest = log_snr_range(schedule)
    return (
        jnp.maximum(lowest, -2 * jnp.log(sigma_max)),
        jnp.minimum(highest, -2 * jnp.log(sigma_min)),
    )


def _within(schedule: Schedule, time: Float[Array, "nodes"]) -> Float[Array, "nodes"]:
    return jnp.clip(time, schedule.t_min, schedule.t_max)


@grids.register("log_snr")
@pytree
class LogSnr:
    """Equal steps in log-SNR, then clean data.

    Attributes:
        sigma_min: least sigma/alpha, if the schedule goes so far.
        sigma_max: most sigma/alpha, likewise.

    Source: Lu et al. 2022 (DPM-Solver), section 3.4.
    """

    sigma_min: Scalar = 0.002
    sigma_max: Scalar = 80.0

    def __post_init__(self) -> None:
        positive(self, "sigma_min", "sigma_max")
        ordered(self, "sigma_min", "sigma_max")

    def __call__(self, schedule: Schedule, steps: int) -> Nodes:
        lowest, highest = _log_snr_ends(schedule, self.sigma_min, self.sigma_max)
        time = schedule.time(jnp.linspace(lowest, highest, steps))
        return append_clean(at_times(schedule, _within(schedule, time)))


@grids.register("karras")
@pytree
class Karras:
    """EDM's grid: equal steps in (sigma/alpha)^(1/rho), then clean data.

    s_i = (s_max^(1/rho) + i/(N-1) (s_min^(1/rho) - s_max^(1/rho)))^rho for i = 0 … N - 1.

    Attributes:
        rho: how much shorter the steps near the data are.
        sigma_min: least sigma/alpha, if the schedule goes so far.
        sigma_max: most sigma/alpha, likewise.

    Source: Karras et al. 2022 (EDM), eq. 5.
    """

    rho: Scalar = 7.0
    sigma_min: Scalar = 0.002
    sigma_max: Scalar = 80.0

    def __post_init__(self) -> None:
        positive(self, "rho", "sigma_min", "sigma_max")
        ordered(self, "sigma_min", "sigma_max")

    def __call__(self, schedule: Schedule, steps: int) -> Nodes:
        lowest, highest = _log_snr_ends(schedule, self.sigma_min, self.sigma_max)
        roots = jnp.linspace(
            jnp.exp(-lowest / 2) ** (1 / self.rho), jnp.exp(-highest / 2) ** (1 / self.rho), steps
        )
        time = schedule.time(-2 * self.rho * jnp.log(roots))
        return append_clean(at_times(schedule, _within(schedule, time)))
