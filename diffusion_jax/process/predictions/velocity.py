"""The velocity of x in the schedule's own time."""

from typing import ClassVar

from diffusion_jax.errors import one_of
from diffusion_jax.process.held import known_schedule
from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions.base import Coefficients, predictions
from diffusion_jax.process.schedules import Schedule, rate
from diffusion_jax.struct import pytree, static

DIRECTIONS = ("noise", "data")


@predictions.register("velocity")
@pytree
class Velocity:
    """The velocity of x in the schedule's own time: y = alpha'(t) x_0 + sigma'(t) eps.

    For rectified flow without shift that is eps - x_0.

    Attributes:
        schedule: whose time it is; None is that of the objective that it is put into.
        towards: where time runs to, "noise"; or "data", for networks whose time is 1 - t, as SiT's,
            and whose velocity has the other sign.

    Source: Lipman et al. 2022 (flow matching), theorem 3; Albergo et al. 2023.

    >>> import jax.numpy as jnp
    >>> from diffusion_jax.process.schedules import schedules
    >>> flow = schedules.make("rectified_flow")
    >>> [float(c) for c in Velocity(flow, towards="data").coefficients(flow.level(jnp.array(0.5)))]
    [1.0, -1.0]
    """

    formula: ClassVar[str] = "y = α′(t) x₀ + σ′(t) ε"

    schedule: Schedule | None = None
    towards: str = static(default="noise")

    def __post_init__(self) -> None:
        one_of(self.towards, DIRECTIONS, "direction of a velocity")

    def coefficients(self, level: Level) -> Coefficients:
        schedule = known_schedule(self, self.schedule)
        slope = rate(schedule, schedule.time(level.log_snr))
        sign = 1 if self.towards == "noise" else -1
        return sign * slope.alpha, sign * slope.sigma
