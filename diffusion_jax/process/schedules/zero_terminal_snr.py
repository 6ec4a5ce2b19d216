"""Any schedule, stretched until nothing is left of the signal at its end."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jax.nn import log_sigmoid
from jaxtyping import Array, Float

from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules.base import Schedule, schedules
from diffusion_jax.struct import Scalar, pytree


def _preserving(level: Level) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """alpha on the variance-preserving curve at the same log-SNR, and 1 - alpha."""
    length = jnp.hypot(level.alpha, level.sigma)
    return level.alpha / length, level.sigma**2 / (length * (length + level.alpha))


@schedules.register("zero_terminal_snr")
@pytree
class ZeroTerminalSnr:
    """Another schedule with alpha shifted and scaled so that it ends at 0 and starts as it did.

    alpha(t) = (a(t) - a(t_max)) a(t_min)/(a(t_min) - a(t_max)), sigma² = 1 - alpha², where a is
    the inner schedule's alpha (of the variance-preserving level with its log-SNR, if its own is
    another). At t_max no signal is left.

    Attributes:
        schedule: the inner schedule.

    Source: Lin et al. 2023 (zero terminal SNR), algorithm 1.

    >>> from diffusion_jax.process.schedules.scaled_linear import scaled_linear
    >>> float(ZeroTerminalSnr(scaled_linear()).level(jnp.float32(1.0)).alpha)
    0.0
    """

    formula: ClassVar[str] = (
        "α = (a(t) − a(t_max)) a(t_min)/(a(t_min) − a(t_max)), a² = 1/(1 + exp(−λ_inner)), α² + σ² "
        "= 1"
    )

    schedule: Schedule

    @property
    def t_min(self) -> Scalar:
        return self.schedule.t_min

    @property
    def t_max(self) -> Scalar:
        return self.schedule.t_max

    def _ends(self) -> tuple[Float[Array, "2"], Float[Array, "2"]]:
        """alpha and 1 - alpha of the inner schedule at its clean and its noisy end."""
        ends = jnp.array([self.t_min, self.t_max], dtype=float)
        return _preserving(self.schedule.level(ends))

    def level(self, time: Float[Array, "..."]) -> Level:
        (first, last), (lost_first, _) = self._ends()
        kept, lost = _preserving(self.schedule.level(time))
        above = kept - last
        # Rounding may leave it below 0 at the end; its slope is right all the same.
        above += jax.lax.stop_gradient(jnp.maximum(-above, 0))
        alpha = above * first / (first - last)
        # 1 - alpha as a sum of what is small near the clean end.
        lost = lost_first + first * (lost - lost_first) / (first - last)
        return Level(alpha, jnp.sqrt(lost * (1 + alpha)))

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        (first, last), (lost_first, _) = self._ends()
        log_alpha = log_sigmoid(log_snr) / 2
        kept = last + jnp.exp(log_alpha) * (first - last) / first
        lost = lost_first + (-jnp.expm1(log_alpha) - lost_first) * (first - last) / first
        return self.schedule.time(2 * jnp.log(kept) - jnp.log(lost) - jnp.log1p(kept))
