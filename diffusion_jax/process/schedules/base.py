"""What a noise schedule is, the registry of all, and what follows from any of them."""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.process.level import Level
from diffusion_jax.registry import Registry
from diffusion_jax.struct import Scalar


@runtime_checkable
class Schedule(Protocol):
    """A curve of noise levels over a time of the schedule's own, noisier as time grows.

    A member is a frozen dataclass (`diffusion_jax.struct.pytree`) with these four, registered
    under a name; `level` must be finite on the closed interval [t_min, t_max].
    """

    @property
    def t_min(self) -> Scalar:
        """The least noisy time."""
        ...

    @property
    def t_max(self) -> Scalar:
        """The noisiest time."""
        ...

    def level(self, time: Float[Array, "..."]) -> Level:
        """The noise level (alpha, sigma) at `time`, of the same shape."""
        ...

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        """The time at which log(alpha²/sigma²) equals `log_snr`; the inverse of `level`."""
        ...


schedules: Registry[Schedule] = Registry("schedule", Schedule)


def rate(schedule: Schedule, time: Float[Array, "..."]) -> Level:
    """d(alpha)/dt and d(sigma)/dt at `time`, by forward differentiation.

    The drift and diffusion of the stochastic differential equation follow from them (Kingma et
    al. 2021, eq. 19-20): f = alpha'/alpha, g² = 2 sigma sigma' - 2 f sigma².

    >>> from diffusion_jax.process.schedules import schedules
    >>> slope = rate(schedules.make("rectified_flow"), jnp.float32(0.3))
    >>> float(slope.alpha), float(slope.sigma)
    (-1.0, 1.0)
    """
    return jax.jvp(schedule.level, (time,), (jnp.ones_like(time),))[1]


def log_snr_range(schedule: Schedule) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The (lowest, highest) log-SNR that the schedule reaches; infinite where a term vanishes."""
    ends = schedule.level(jnp.array([schedule.t_max, schedule.t_min], dtype=float)).log_snr
    return ends[0], ends[1]
