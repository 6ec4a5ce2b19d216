"""Grids along the schedule's own time."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, positive
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.sampling.grids.base import Nodes, append_clean, at_times, check_call, grids
from diffusion_jax.struct import Scalar, pytree


def _roots(
    schedule: Schedule, steps: int, power: Scalar, t_end: Scalar | None
) -> Float[Array, "steps"]:
    """Times at equal steps of t^(1/power): `steps` of them down to t_end, else short of t_min."""
    if t_end is None:
        ends = jnp.array([schedule.t_max, schedule.t_min], dtype=float)
    else:
        ends = jnp.array([schedule.t_max, t_end], dtype=float)
        if isinstance(t_end, float) and not float(schedule.t_min) <= t_end < schedule.t_max:
            raise UserError(
                f"t_end={t_end:g} lies outside of the schedule's times, from "
                f"{float(schedule.t_min):g} to {float(schedule.t_max):g}."
            )
    root = ends ** (1 / power)
    count = steps + 1 if t_end is None else steps
    return (jnp.linspace(root[0], root[1], count) ** power)[:steps].at[0].set(ends[0])


@grids.register("uniform")
@pytree
class UniformGrid:
    """Equal steps in the schedule's own time.

    t_i = t_max + i/N (t_min - t_max) for i = 0 … N - 1, then clean data; with a t_end,
    t_i = t_max + i/(N - 1) (t_end - t_max) instead.

    Attributes:
        t_end: time of the last noisy node.

    Source: Song et al. 2021 (score SDE), appendix C; Karras et al. 2022 (EDM), table 1, column
    VP, where t_end is 0.001.

    >>> from diffusion_jax.process.schedules import schedules
    >>> nodes = UniformGrid(t_end=0.5)(schedules.make("rectified_flow"), 2)
    >>> [float(time) for time in nodes.level.sigma]
    [1.0, 0.5, 0.0]
    """

    formula: ClassVar[str] = "t_i = t_max + i/N (t_min − t_max), i = 0 … N − 1"

    t_end: float | None = None

    def __call__(self, schedule: Schedule, steps: int) -> Nodes:
        check_call(self, schedule, steps)
        return append_clean(at_times(schedule, _roots(schedule, steps, 1, self.t_end)))


@grids.register("power")
@pytree
class Power:
    """Equal steps in a root of the schedule's own time, shorter ones near the data.

    t_i = (t_max^(1/power) + i/N (t_min^(1/power) - t_max^(1/power)))^power for i = 0 … N - 1,
    then clean data; with a t_end, the last of N noisy nodes is there.

    Attributes:
        power: 2 is DPM-Solver's "time_quadratic".
        t_end: time of the last noisy node.

    Source: Lu et al. 2022 (DPM-Solver), appendix E; Song et al. 2020 (DDIM), appendix D.2.

    >>> from diffusion_jax.process.schedules import schedules
    >>> nodes = Power()(schedules.make("rectified_flow"), 2)
    >>> [float(time) for time in nodes.level.sigma]
    [1.0, 0.25, 0.0]
    """

    formula: ClassVar[str] = (
        "t_i = (t_max^(1/power) + i/N (t_min^(1/power) − t_max^(1/power)))^power, i = 0 … N − 1"
    )

    power: Scalar = 2.0
    t_end: float | None = None

    def __post_init__(self) -> None:
        positive(self, "power")

    def __call__(self, schedule: Schedule, steps: int) -> Nodes:
        check_call(self, schedule, steps)
        return append_clean(at_times(schedule, _roots(schedule, steps, self.power, self.t_end)))
