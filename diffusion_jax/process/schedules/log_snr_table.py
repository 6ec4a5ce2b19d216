"""The entries of any schedule, joined by straight lines in the log-SNR."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import within
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules.base import HIGHEST, LOWEST, Schedule, schedules
from diffusion_jax.struct import Scalar, pytree, static


@schedules.register("log_snr_table")
@pytree
class LogSnrTable:
    """The N levels of another schedule at t = t_max i/N, with log-SNR linear in t between them.

    Variance-preserving. How networks that were trained on a table are asked for any sigma/alpha,
    whose logarithm is linear between entries: the time that a level is given tells where between
    which entries it lies. `ddpm_linear` and its like are linear in log alpha instead. Levels beyond
    the entries have the time of the nearest one, since the network knows no other.

    Attributes:
        schedule: the schedule with the entries.
        steps: N, the number of entries.

    Raises:
        UserError: fewer than 2 entries.

    Source: Crowson 2022 (k-diffusion), its discrete schedules.

    >>> from diffusion_jax.process.schedules.published import alphas_cumprod
    >>> table = LogSnrTable(alphas_cumprod((0.8, 0.2)), steps=2)
    >>> round(float(table.level(jnp.float32(0.75)).noise_to_signal), 4)
    1.0
    """

    formula: ClassVar[str] = (
        "λ = λ_inner at t = t_max i/N, i = 1 … N, and linear in t between, α² + σ² = 1"
    )

    schedule: Schedule
    steps: int = static(1000)

    def __post_init__(self) -> None:
        within(self, 2, float("inf"), "steps")

    @property
    def t_min(self) -> Scalar:
        return self.schedule.t_max / self.steps

    @property
    def t_max(self) -> Scalar:
        return self.schedule.t_max

    def _entries(self) -> tuple[Float[Array, "entries"], Float[Array, "entries"]]:
        """The time and the log-SNR of each."""
        # The quotient first, so that the noisiest entry's time is t_max itself.
        times = self.t_max * (jnp.arange(1, self.steps + 1, dtype=float) / self.steps)
        return times, jnp.clip(self.schedule.level(times).log_snr, LOWEST, HIGHEST)

    def level(self, time: Float[Array, "..."]) -> Level:
        times, log_snr = self._entries()
        found = jnp.interp(time, times, log_snr, left="extrapolate", right="extrapolate")
        return Level.from_log_snr(found)

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        times, entries = self._entries()
        return jnp.interp(-log_snr, -entries, times)
