"""Schedules made from schedules."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules.base import Schedule, schedules
from diffusion_jax.struct import Scalar, pytree

# Beyond these bounds float32 cannot tell alpha, or sigma, from its limit; a shift starts from
# finite log-SNR, so that it has finite slopes too.
LOWEST, HIGHEST = -20.0, 20.0


@schedules.register("log_snr_shift")
@pytree
class LogSnrShift:
    """Another schedule with its log-SNR shifted by a constant at every time.

    log_snr(t) = log_snr_inner(t) + shift. The levels stay on the inner schedule's curve
    (variance-preserving stays so, a straight path stays straight); only the time at which each
    is reached changes. Pictures of d × d pixels want shift = 2 log(64/d) relative to 64 × 64.

    Attributes:
        schedule: the inner schedule.
        shift: added to its log-SNR; negative means noisier.

    Source: Hoogeboom et al. 2023 (simple diffusion), section 3.1.

    >>> from diffusion_jax.process.schedules.preserving import Cosine
    >>> round(float(LogSnrShift(Cosine(), shift=-2.0).level(jnp.float32(0.5)).log_snr), 4)
    -2.0
    """

    schedule: Schedule
    shift: Scalar = 0.0

    @property
    def t_min(self) -> Scalar:
        return jnp.maximum(self.schedule.t_min, self.schedule.time(jnp.array(HIGHEST, dtype=float)))

    @property
    def t_max(self) -> Scalar:
        return jnp.minimum(self.schedule.t_max, self.schedule.time(jnp.array(LOWEST, dtype=float)))

    def level(self, time: Float[Array, "..."]) -> Level:
        inner = self.schedule.level(time).log_snr
        return self.schedule.level(self.schedule.time(inner + self.shift))

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        return self.schedule.time(log_snr - self.shift)
