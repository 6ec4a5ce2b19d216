"""Grids that go back to noise and down again."""

from typing import ClassVar

import jax
import jax.numpy as jnp

from diffusion_jax.errors import UserError, ordered, positive, within
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.sampling.grids.base import (
    Grid,
    Nodes,
    at_times,
    check_call,
    check_falls,
    grids,
    log_snr_ends,
    rises,
)
from diffusion_jax.sampling.grids.noise import Karras
from diffusion_jax.struct import Scalar, pytree, static


@grids.register("restart")
@pytree
class RestartGrid:
    """Another grid that goes back up from s = low to high, and down again, several times.

    At the node nearest to `low`, in log s with s = sigma/alpha: one step up to `high`, then `steps`
    steps down, equal in s^(1/rho), to that node; all this `times` times. Of N steps, the grid
    inside has N - times (steps + 1). Only the solver `restart` can go up. Several intervals are
    grids `restart` within each other.

    Attributes:
        grid: the grid.
        low: where to go up, sigma/alpha; at the nearest of the grid's nodes.
        high: sigma/alpha to go up to, if the schedule goes so far.
        times: K, how often.
        steps: from `high` down to `low`.
        rho: how much shorter the steps near `low` are.

    Raises:
        UserError: when called, if too few steps are left for the grid inside, or if no node of it
            lies below `high`.

    Source: Xu et al. 2023 (Restart), section 3.

    >>> from diffusion_jax.process.schedules import schedules
    >>> inside = Karras(rho=1.0, sigma_min=1.0, sigma_max=3.0)
    >>> nodes = RestartGrid(inside, low=1.1, high=2.0, times=1, steps=1)(schedules.make("edm"), 5)
    >>> [round(float(sigma), 3) for sigma in nodes.level.sigma]
    [3.0, 2.0, 1.0, 2.0, 1.0, 0.0]
    """

    formula: ClassVar[str] = (
        "times × (from low up to high, then s_j = (high^(1/rho) + j/steps (low^(1/rho) − "
        "high^(1/rho)))^rho, j = 1 … steps), s = σ/α"
    )

    grid: Grid = Karras()
    low: Scalar = 0.06
    high: Scalar = 0.3
    times: int = static(default=2)
    steps: int = static(default=2)
    rho: Scalar = 7.0

    def __post_init__(self) -> None:
        positive(self, "low", "high", "rho")
        ordered(self, "low", "high")
        within(self, 1, float("inf"), "times", "steps")

    @property
    def rises(self) -> int:
        """One each time."""
        return rises(self.grid) + self.times

    def __call__(self, schedule: Schedule, steps: int) -> Nodes:
        check_call(self, schedule, steps)
        added = self.times * (self.steps + 1)
        if steps < added + 2:
            raise UserError(
                f"grid 'restart' has no level to restart from in {steps} steps: "
                f"{added} of them are its own, and the grid inside needs 2 or more."
            )
        inside = self.grid(schedule, steps - added)
        at = jnp.argmin(jnp.abs(inside.level.log_snr + 2 * jnp.log(self.low)))
        down = self._down(schedule, inside[at])
        # Places among the nodes inside, followed by those of one descent.
        first = inside.time.shape[0]
        descent = jnp.append(jnp.arange(first, first + self.steps), at)
        place = jnp.arange(steps + 1)
        again = place - at - 1
        place = jnp.where(again < 0, place, place - added)
        inserted = (again >= 0) & (again < added)
        place = jnp.where(inserted, descent[again % (self.steps + 1)], place)
        return jax.tree.map(lambda *values: jnp.concatenate(values)[place], inside, down)

    def _down(self, schedule: Schedule, low: Nodes) -> Nodes:
        """The nodes of the descent to a node, without it."""
        highest = jnp.exp(-log_snr_ends(schedule, self.low, self.high)[0] / 2)
        ends = highest ** (1 / self.rho), low.level.noise_to_signal ** (1 / self.rho)
        roots = jnp.linspace(*ends, self.steps + 1)[:-1]
        time = jnp.clip(
            schedule.time(-2 * self.rho * jnp.log(roots)), schedule.t_min, schedule.t_max
        )
        check_falls(jnp.append(time, low.time), "its node nearest to low is not below high")
        return at_times(schedule, time)
