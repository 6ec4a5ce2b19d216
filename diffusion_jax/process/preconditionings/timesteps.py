"""What networks see that were trained on a table of noise levels and told their number."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import one_of
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

BETWEEN = ("log", "ratio")
BLIND = 2.0**-12  # what alpha counts as at most where the table ends without signal


@preconditionings.register("timesteps")
@pytree
class TimestepsPreconditioning:
    """x on the variance-preserving scale, and the number of its level in a table.

    c_in = 1/sqrt(alpha² + sigma²). Entry i = 0 … N - 1 of the table is the clock's level at the
    time (i + 1)/N of its t_max; between entries the number is linear in log(sigma/alpha) or in
    sigma/alpha, and levels beyond the table's ends are told as its ends.

    Attributes:
        clock: the schedule of the table, variance-preserving; None is that of the objective.
        steps: N.
        rounding: "none"; "nearest", or "down", to whole numbers.
        between: what the number is linear in between entries, "log" of sigma/alpha or its "ratio".

    Raises:
        UserError: another rounding, or something else between entries.

    Source: Ho et al. 2020 (DDPM), section 3.3; Karras et al. 2022 (EDM), section C.3.2.

    >>> from diffusion_jax.process.schedules import schedules
    >>> table = schedules.make("ddpm_linear")
    >>> level = table.level(jnp.float32(0.25))
    >>> round(float(TimestepsPreconditioning(table).c_noise(level)), 2)
    249.0
    """

    formula: ClassVar[str] = (
        "c_in = 1/√(α² + σ²), c_noise = i, where log(σ/α) is that of entry i of the table"
    )

    clock: Schedule | None = None
    steps: int = static(default=1000)
    rounding: str = static(default="none")
    between: str = static(default="log")

    def __post_init__(self) -> None:
        one_of(self.rounding, ROUNDINGS, "rounding of timesteps")
        one_of(self.between, BETWEEN, "way between timesteps")

    def own_level(self, level: Level) -> Level:
        total = jnp.hypot(level.alpha, level.sigma)
        return Level(level.alpha / total, level.sigma / total)

    def input_scale(self, level: Level, sigma_data: Scalar) -> Float[Array, "..."]:
        return scale_between(level, self.own_level(level))

    def c_noise(self, level: Level) -> Float[Array, "..."]:
        clock = known_clock("timesteps", self.clock)
        entry = jnp.arange(self.steps)
        whole = clock.level(clock.t_max * (entry + 1) / self.steps)
        # Less than any entry has, so that the last ones stay apart.
        least = jnp.where(whole.alpha > 0, whole.alpha / whole.sigma, jnp.inf).min()
        blind = jnp.where(least > BLIND, BLIND, least / 2)
        table, at = _log_ratio(whole, blind), _log_ratio(level, blind)
        if self.between == "ratio":
            table, at = jnp.exp(table), jnp.exp(at)
        found = jnp.interp(at, table, entry.astype(table.dtype))
        return rounded(found, self.rounding)


def _log_ratio(level: Level, blind: Float[Array, ""]) -> Float[Array, "..."]:
    """log(sigma/alpha), where a level without signal counts as having a little."""
    return jnp.log(level.sigma) - jnp.log(jnp.maximum(level.alpha, blind * level.sigma))
