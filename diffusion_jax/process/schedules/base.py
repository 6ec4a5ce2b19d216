"""What a noise schedule is, the registry of all, and what follows from any of them."""

from collections.abc import Callable, Mapping
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


@runtime_checkable
class Learnable(Schedule, Protocol):
    """A schedule that may be trained, but for its ends."""

    def learned(self) -> dict[str, Array]:
        """Its parameters."""
        ...

    def with_learned(self, params: Mapping[str, Array]) -> "Learnable":
        """The schedule with other parameters."""
        ...


schedules: Registry[Schedule] = Registry("schedule", Schedule)

# Beyond these bounds float32 cannot tell alpha, or sigma, from its limit. Where a schedule is
# made from the log-SNR of another, it stays within, so that it has finite slopes.
LOWEST, HIGHEST = -20.0, 20.0


class BoundedLogSnr:
    """A schedule whose time ends where its log-SNR reaches given bounds.

    Attributes:
        log_snr_min: log-SNR at the noisy end.
        log_snr_max: log-SNR at the clean end.
    """

    log_snr_min: Scalar
    log_snr_max: Scalar

    @property
    def t_min(self) -> Scalar:
        """Where the log-SNR is `log_snr_max`."""
        return self.time(jnp.asarray(self.log_snr_max, dtype=float))

    @property
    def t_max(self) -> Scalar:
        """Where the log-SNR is `log_snr_min`."""
        return self.time(jnp.asarray(self.log_snr_min, dtype=float))

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        """The inverse of the schedule's log-SNR."""
        raise NotImplementedError


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


@jax.jit
def solve(
    log_snr: Callable[[Float[Array, "..."]], Float[Array, "..."]],
    value: Float[Array, "..."],
    low: Scalar,
    high: Scalar,
) -> Float[Array, "..."]:
    """The time in [low, high] at which a falling log-SNR equals `value`; else the nearer end.

    By halving, which is safe, and then a step of Newton's, which makes the result exact to
    rounding and differentiable. Compiled, since a loop run by itself is compiled at every call.

    Args:
        log_snr: a function of time that is a pytree, so that what it depends on may be traced.
        value: log-SNR, any shape.
        low: the least time.
        high: the greatest time.

    >>> from jax.tree_util import Partial
    >>> found = solve(Partial(lambda t: 1 - t**2), jnp.array([0.75]), 0.0, 3.0)
    >>> round(float(found[0]), 6)
    0.5
    """
    target = jax.lax.stop_gradient(value)
    ends = jnp.broadcast_to(low, value.shape), jnp.broadcast_to(high, value.shape)
    ends = jax.tree.map(lambda end: jax.lax.stop_gradient(end).astype(value.dtype), ends)

    def halve(_: Array | int, interval: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = (interval[0] + interval[1]) / 2
        later = jax.lax.stop_gradient(log_snr(middle)) > target
        return jnp.where(later, middle, interval[0]), jnp.where(later, interval[1], middle)

    # As many halvings as a number has digits, and some more for times that are close to 0.
    first, last = jax.lax.fori_loop(0, jnp.finfo(value.dtype).nmant + 12, halve, ends)
    time = (first + last) / 2
    found, slope = jax.jvp(log_snr, (time,), (jnp.ones_like(time),))
    return jnp.clip(time - (found - value) / jax.lax.stop_gradient(slope), low, high)
