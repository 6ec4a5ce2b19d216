"""A schedule with noise of another standard deviation."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import positive
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules.base import Schedule, schedules
from diffusion_jax.struct import Scalar, pytree


@schedules.register("noise_scaled")
@pytree
class NoiseScaled:
    """Another schedule with its noise multiplied by a constant at every time.

    alpha(t) = alpha_inner(t) and sigma(t) = scale sigma_inner(t), so that the log-SNR is lower by
    2 log(scale). `log_snr_shift` stays on the inner schedule's curve and moves its times; this
    leaves alpha at its times.

    Attributes:
        schedule: the inner schedule.
        scale: standard deviation of the noise; more than 1 for large pictures.

    Raises:
        UserError: a scale that is not positive.

    Source: Li & He 2025 (JiT), section 4, for 512 × 512 pictures; Chen 2023, section 2.2, who
    divides the data instead.

    >>> from diffusion_jax.process.schedules.flow import RectifiedFlow
    >>> level = NoiseScaled(RectifiedFlow(), scale=2.0).level(jnp.float32(0.25))
    >>> float(level.alpha), float(level.sigma)
    (0.75, 0.5)
    """

    formula: ClassVar[str] = "α(t) = α_inner(t), σ(t) = scale σ_inner(t)"

    schedule: Schedule
    scale: Scalar = 1.0

    def __post_init__(self) -> None:
        positive(self, "scale")

    @property
    def t_min(self) -> Scalar:
        return self.schedule.t_min

    @property
    def t_max(self) -> Scalar:
        return self.schedule.t_max

    def level(self, time: Float[Array, "..."]) -> Level:
        inner = self.schedule.level(time)
        return Level(inner.alpha, self.scale * inner.sigma)

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        return self.schedule.time(log_snr + 2 * jnp.log(self.scale))
