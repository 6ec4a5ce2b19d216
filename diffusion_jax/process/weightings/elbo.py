"""The evidence lower bound, and weightings of it."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import finite, within
from diffusion_jax.process.held import known_schedule
from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import Prediction
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.process.weightings.base import on_epsilon, weightings
from diffusion_jax.struct import Scalar, pytree, static


@weightings.register("elbo")
@pytree
class ELBO:
    """The evidence lower bound, in nats: 1/2 |d log_snr/du| on epsilon.

    The loss is then an unbiased estimate of the diffusion part of the bound (per dimension),
    whatever the schedule and the training times.

    Source: Kingma et al. 2021 (VDM), eq. 17.
    """

    formula: ClassVar[str] = "w = |dλ/du|/2, on |ε − ε̂|²"

    def weight(
        self, level: Level, prediction: Prediction, slope: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        return on_epsilon(slope / 2, level, prediction)


@weightings.register("likelihood")
@pytree
class LikelihoodWeighting:
    """g² on the score, over the density of times: |d log_snr/du| on epsilon, twice the bound.

    g² is the diffusion coefficient, whatever the schedule; SiT's weight "likelihood" is half.

    Source: Song et al. 2021 (maximum likelihood training), theorem 1, with importance sampling of
    the times as in section 4.2.
    """

    formula: ClassVar[str] = "w = |dλ/du|, on |ε − ε̂|²"

    def weight(
        self, level: Level, prediction: Prediction, slope: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        return on_epsilon(slope, level, prediction)


@weightings.register("elbo_steps")
@pytree
class ELBOInSteps:
    """The bound of a chain of T steps, in nats: T/2 (SNR(s)/SNR(t) - 1) on epsilon, s = t - 1/T.

    The loss is an unbiased estimate of the diffusion part of that bound (per dimension) if times
    are `discrete(steps=T)`. A step onto clean data belongs to the decoder, and weighs 0.

    Attributes:
        schedule: whose chain it is; None is that of the objective that it is put into.
        steps: T, of equal length up to t_max.

    Source: Kingma et al. 2021 (VDM), eq. 14.
    """

    formula: ClassVar[str] = "w = T/2 (SNR(s)/SNR(t) − 1), s = t − t_max/T, on |ε − ε̂|²"

    schedule: Schedule | None = None
    steps: int = static(default=1000)

    def __post_init__(self) -> None:
        within(self, 1, float("inf"), "steps")

    def weight(
        self, level: Level, prediction: Prediction, slope: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        schedule = known_schedule(self, self.schedule)
        time = schedule.time(level.log_snr) - schedule.t_max / self.steps
        before = schedule.level(jnp.maximum(time, schedule.t_min)).log_snr
        gained = jnp.where(jnp.isfinite(before), before - level.log_snr, 0)
        return on_epsilon(self.steps / 2 * jnp.expm1(gained), level, prediction)


@weightings.register("sigmoid")
@pytree
class SigmoidWeighting:
    """The bound weighted by sigmoid(bias - log_snr).

    Attributes:
        bias: the log-SNR up to which levels count.

    Source: Kingma & Gao 2023 (VDM++), section 4.2; Hoogeboom et al. 2024 (SiD2), eq. 5.
    """

    formula: ClassVar[str] = "w = |dλ/du|/(2 (1 + exp(λ − bias))), on |ε − ε̂|²"

    bias: Scalar = 0.0

    def __post_init__(self) -> None:
        finite(self, "bias")

    def weight(
        self, level: Level, prediction: Prediction, slope: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        importance = jax.nn.sigmoid(self.bias - level.log_snr)
        return on_epsilon(importance * slope / 2, level, prediction)
