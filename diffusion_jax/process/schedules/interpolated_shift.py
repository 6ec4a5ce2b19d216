"""A schedule between two shifts of another."""

from typing import ClassVar

import jax.numpy as jnp
from jax.tree_util import Partial
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, finite
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules.base import HIGHEST, LOWEST, Schedule, schedules, solve
from diffusion_jax.struct import Scalar, pytree


@schedules.register("interpolated_shift")
@pytree
class InterpolatedShift:
    """Another schedule with its log-SNR shifted by an amount that grows with time.

    log_snr(t) = log_snr_inner(t) + (1 - u) clean + u noisy, u = (t - t_min)/(t_max - t_min) of
    the inner schedule. Levels stay on its curve, and time is cut as for `log_snr_shift`. From
    32 × 32 to 256 × 256 pixels as in the paper's section 3.2, for pictures of d × d: noisy =
    2 log(32/d), clean = 2 log(256/d).

    Attributes:
        schedule: the inner schedule.
        clean: added to its log-SNR at the clean end.
        noisy: added to it at the noisy end; not more than `clean`, so that noise grows with time.

    Source: Hoogeboom et al. 2023 (simple diffusion), eq. 9.

    >>> from diffusion_jax.process.schedules.preserving import Cosine
    >>> schedule = InterpolatedShift(Cosine(), clean=-1.0, noisy=-3.0)
    >>> round(float(schedule.level(jnp.float32(0.5)).log_snr), 3)
    -2.0
    """

    formula: ClassVar[str] = (
        "λ(t) = λ_inner(t) + (1 − τ) clean + τ noisy, τ = (t − t_min)/(t_max − t_min)"
    )

    schedule: Schedule
    clean: Scalar = 0.0
    noisy: Scalar = 0.0

    def __post_init__(self) -> None:
        finite(self, "clean", "noisy")
        if _within(self.schedule):
            raise UserError(
                "schedule 'interpolated_shift' cannot be within another: each search for a time "
                "would search in every step. Add up their shifts."
            )
        ends = self.clean, self.noisy
        if all(isinstance(end, (int, float)) for end in ends) and self.noisy > self.clean:
            raise UserError(
                f"InterpolatedShift: noisy={self.noisy} must not be more than clean={self.clean}."
            )

    def _ends(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """The inner schedule's first and last time with a finite log-SNR."""
        bounds = self.schedule.time(jnp.array([HIGHEST, LOWEST]))
        return jnp.maximum(self.schedule.t_min, bounds[0]), jnp.minimum(
            self.schedule.t_max, bounds[1]
        )

    @property
    def t_min(self) -> Scalar:
        first, _ = self._ends()
        return self.time(self.schedule.level(first).log_snr)

    @property
    def t_max(self) -> Scalar:
        _, last = self._ends()
        return self.time(self.schedule.level(last).log_snr)

    def _log_snr(self, time: Float[Array, "..."]) -> Float[Array, "..."]:
        low, high = self.schedule.t_min, self.schedule.t_max
        part = (time - low) / (high - low)
        return self.schedule.level(time).log_snr + self.clean + part * (self.noisy - self.clean)

    def level(self, time: Float[Array, "..."]) -> Level:
        return self.schedule.level(self.schedule.time(self._log_snr(time)))

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        return solve(Partial(InterpolatedShift._log_snr, self), log_snr, *self._ends())


def _within(schedule: object) -> bool:
    """Whether a schedule is one of these, or made from one."""
    if isinstance(schedule, InterpolatedShift):
        return True
    inner = getattr(schedule, "schedule", None)
    return inner is not None and _within(inner)
