"""Schedules made from schedules."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import finite
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules.base import HIGHEST, LOWEST, Schedule, schedules
from diffusion_jax.struct import Scalar, pytree


@schedules.register("log_snr_shift")
@pytree
class LogSnrShift:
    """Another schedule with its log-SNR shifted by a constant at every time.

    log_snr(t) = log_snr_inner(t) + shift. The levels stay on the inner schedule's curve
    (variance-preserving stays so, a straight path stays straight); only the time at which each
    is reached changes. Time is cut where the shifted log-SNR would leave the inner schedule's
    range, so that no curve is continued beyond what it was made for. Pictures of d × d pixels
    want shift = 2 log(64/d) relative to 64 × 64.

    Attributes:
        schedule: the inner schedule.
        shift: added to its log-SNR; negative means noisier.

    Source: Hoogeboom et al. 2023 (simple diffusion), section 3.1.

    >>> from diffusion_jax.process.schedules.preserving import Cosine
    >>> round(float(LogSnrShift(Cosine(), shift=-2.0).level(jnp.float32(0.5)).log_snr), 4)
    -2.0
    """

    formula: ClassVar[str] = "λ(t) = λ_inner(t) + shift"

    schedule: Schedule
    shift: Scalar = 0.0

    def __post_init__(self) -> None:
        finite(self, "shift")

    @property
    def t_min(self) -> Scalar:
        first = jnp.maximum(self.schedule.t_min, self._inner_time(HIGHEST))
        return self.schedule.time(self._inner_log_snr(first) - jnp.maximum(self.shift, 0))

    @property
    def t_max(self) -> Scalar:
        last = jnp.minimum(self.schedule.t_max, self._inner_time(LOWEST))
        return self.schedule.time(self._inner_log_snr(last) - jnp.minimum(self.shift, 0))

    def level(self, time: Float[Array, "..."]) -> Level:
        return self.schedule.level(self.schedule.time(self._inner_log_snr(time) + self.shift))

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        return self.schedule.time(log_snr - self.shift)

    def _inner_time(self, log_snr: float) -> Float[Array, ""]:
        return self.schedule.time(jnp.array(log_snr, dtype=float))

    def _inner_log_snr(self, time: Float[Array, "..."]) -> Float[Array, "..."]:
        return self.schedule.level(time).log_snr
