"""The velocity of x in the schedule's own time."""

from typing import ClassVar

from diffusion_jax.process.held import known_schedule
from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions.base import Coefficients, predictions
from diffusion_jax.process.schedules import Schedule, rate
from diffusion_jax.struct import pytree


@predictions.register("velocity")
@pytree
class Velocity:
    """The velocity of x in the schedule's own time: y = alpha'(t) x_0 + sigma'(t) eps.

    For rectified flow without shift that is eps - x_0.

    Attributes:
        schedule: whose time it is; None is that of the objective that it is put into.

    Source: Lipman et al. 2022 (flow matching), theorem 3; Albergo et al. 2023.
    """

    formula: ClassVar[str] = "y = α′(t) x₀ + σ′(t) ε"

    schedule: Schedule | None = None

    def coefficients(self, level: Level) -> Coefficients:
        schedule = known_schedule(self, self.schedule)
        slope = rate(schedule, schedule.time(level.log_snr))
        return slope.alpha, slope.sigma
