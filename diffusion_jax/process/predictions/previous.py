"""The mean of the step before, in a chain."""

from typing import ClassVar

from diffusion_jax.errors import within
from diffusion_jax.process.held import known_schedule
from diffusion_jax.process.level import Level
from diffusion_jax.process.posterior import chain_step
from diffusion_jax.process.predictions.base import Coefficients, predictions
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.struct import pytree, static


@predictions.register("previous")
@pytree
class Previous:
    """The mean of q(x_s | x, x_0), with s one of T steps before x; x_0 itself at the first.

    y = (of_x0 + of_x alpha) x_0 + of_x sigma eps, with the coefficients of `process.posterior`.

    Attributes:
        schedule: whose chain it is; None is that of the objective that it is put into.
        steps: T.

    Source: Ho et al. 2020 (DDPM), eq. 8.
    """

    formula: ClassVar[str] = "y = α_s (1 − r² σ_s²/σ²) x₀ + r σ_s²/σ² x, r = α/α_s, s = t − t_max/T"

    schedule: Schedule | None = None
    steps: int = static(default=1000)

    def __post_init__(self) -> None:
        within(self, 2, float("inf"), "steps")

    def coefficients(self, level: Level) -> Coefficients:
        schedule = known_schedule(self, self.schedule)
        step = chain_step(schedule, schedule.time(level.log_snr), self.steps).posterior
        return step.of_x0 + step.of_x * level.alpha, step.of_x * level.sigma
