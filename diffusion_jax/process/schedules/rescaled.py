"""The same log-SNR over time, on another curve."""

from typing import ClassVar

import jax.numpy as jnp
from jax.nn import sigmoid
from jaxtyping import Array, Float

from diffusion_jax.errors import one_of
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules.base import HIGHEST, LOWEST, Schedule, schedules
from diffusion_jax.struct import Scalar, pytree, static

CURVES = {
    "preserving": Level.from_log_snr,
    "exploding": lambda log_snr: Level(jnp.ones_like(log_snr), jnp.exp(-log_snr / 2)),
    "straight": lambda log_snr: Level(sigmoid(log_snr / 2), sigmoid(-log_snr / 2)),
}


@schedules.register("rescaled")
@pytree
class Rescaled:
    """Another schedule with x scaled at each time: the same log-SNR, other alpha and sigma.

    On the curve "preserving", alpha² + sigma² = 1; on "exploding", alpha = 1; on "straight",
    alpha + sigma = 1. Any two processes are rescalings of each other, once their times agree:
    `rescaled(schedule=vp_linear, curve=exploding)` is EDM's VP without its scaling s(t). Time is
    cut where the log-SNR would leave ±20.

    Attributes:
        schedule: the inner schedule.
        curve: "preserving", "exploding" or "straight".

    Raises:
        UserError: another curve.

    Source: Karras et al. 2022 (EDM), section 2 and appendix B.2, on s(t).

    >>> from diffusion_jax.process.schedules.exploding import EDM
    >>> round(float(Rescaled(EDM(), "preserving").level(jnp.float32(0.75)).alpha), 4)
    0.8
    """

    formula: ClassVar[str] = "λ(t) = λ_inner(t), with α² + σ² = 1, α = 1 or α + σ = 1"

    schedule: Schedule
    curve: str = static("preserving")

    def __post_init__(self) -> None:
        one_of(self.curve, CURVES, "curve")

    @property
    def t_min(self) -> Scalar:
        return jnp.maximum(self.schedule.t_min, self.time(jnp.array(HIGHEST)))

    @property
    def t_max(self) -> Scalar:
        return jnp.minimum(self.schedule.t_max, self.time(jnp.array(LOWEST)))

    def level(self, time: Float[Array, "..."]) -> Level:
        return CURVES[self.curve](self.schedule.level(time).log_snr)

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        return self.schedule.time(log_snr)
