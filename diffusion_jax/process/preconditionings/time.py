"""What networks see that were trained on a schedule's own scale and told its time."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.process.level import Level
from diffusion_jax.process.preconditionings.base import (
    ROUNDINGS,
    known_clock,
    preconditionings,
    rounded,
    scale_between,
)
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.struct import Scalar, pytree, static


@preconditionings.register("time")
@pytree
class TimePreconditioning:
    """x on the scale of a schedule, and that schedule's time at the same log-SNR.

    With (alpha_c, sigma_c) the level of the clock at the time t of the log-SNR of x,
    c_in = sqrt((alpha_c² + sigma_c²)/(alpha² + sigma²)) and c_noise = scale t + offset.
    So a network that was trained on the clock's process can follow any other: where x is of the
    clock's process itself, c_in = 1. Levels beyond the clock's ends are told as its ends.

    Attributes:
        clock: whose scale and time they are; None is the schedule of the objective.
        scale: of the time. 1000, for the timesteps of a network that counts them so.
        offset: added to it; -1, where steps are counted from 0 and the first has t = 1/N.
        rounding: "none"; "nearest", or "down", to whole numbers.

    Raises:
        UserError: a scale of 0, by which every level would be told alike.

    Source: Ho et al. 2020 (DDPM), section 3.3; Esser et al. 2024 (SD3), section 2, for flows.

    >>> from diffusion_jax.process.schedules import schedules
    >>> seen = TimePreconditioning(schedules.make("rectified_flow"), scale=1000.0)
    >>> level = Level(jnp.float32(0.75), jnp.float32(0.25))
    >>> float(seen.input_scale(level, 1.0)), round(float(seen.c_noise(level)), 2)
    (1.0, 250.0)
    """

    formula: ClassVar[str] = "c_in = √((α_c² + σ_c²)/(α² + σ²)), c_noise = scale t_c(λ) + offset"

    clock: Schedule | None = None
    scale: Scalar = 1.0
    offset: Scalar = 0.0
    rounding: str = static(default="none")

    def __post_init__(self) -> None:
        one_of(self.rounding, ROUNDINGS, "rounding of times")
        if isinstance(self.scale, (int, float)) and self.scale == 0:
            raise UserError("preconditioning 'time': scale must not be 0.")

    def own_level(self, level: Level) -> Level:
        return known_clock("time", self.clock).level(self._time(level))

    def input_scale(self, level: Level, sigma_data: Scalar) -> Float[Array, "..."]:
        return scale_between(level, self.own_level(level))

    def c_noise(self, level: Level) -> Float[Array, "..."]:
        return rounded(self.scale * self._time(level) + self.offset, self.rounding)

    def _time(self, level: Level) -> Float[Array, "..."]:
        clock = known_clock("time", self.clock)
        return jnp.clip(clock.time(level.log_snr), clock.t_min, clock.t_max)
