"""Weights of 1: on the error of the network's own prediction, or of another."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import Prediction, determinant, predictions
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.process.weightings.base import weightings
from diffusion_jax.struct import Scalar, pytree


@weightings.register("simple")
@pytree
class Simple:
    """1: the plain squared error of whatever the network predicts.

    Source: Ho et al. 2020 (DDPM), eq. 14, for epsilon.
    """

    formula: ClassVar[str] = "w = 1, on |y − ŷ|²"

    def weight(
        self, level: Level, prediction: Prediction, slope: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        return jnp.ones_like(level.alpha)


@pytree
class ErrorOf:
    """1 on the squared error of another prediction, (det_other/det)² on the network's own.

    Attributes:
        other: whose error counts.
    """

    other: Prediction

    def weight(
        self, level: Level, prediction: Prediction, slope: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        return (determinant(level, self.other) / determinant(level, prediction)) ** 2


@weightings.register(
    "error_of",
    formula="w = 1, on |z − ẑ|² of another prediction z",
)
def error_of(
    prediction: str = "epsilon", schedule: Schedule | None = None, sigma_data: Scalar | None = None
) -> ErrorOf:
    """1 on the squared error of another prediction than the network's.

    With "epsilon", DDPM's and score matching's loss (EDM's "VP" and "VE" arms have it with uniform
    times; on x_0 it is the SNR); with "velocity", flow matching's loss in the schedule's own time,
    SiT's weight "velocity"; with "v", that of progressive distillation (SNR + 1 on x_0).

    Args:
        prediction: a spec, whose error counts.
        schedule: for a prediction that depends on it.
        sigma_data: standard deviation of the data, likewise.

    Raises:
        UserError: no such prediction.

    Source: Ho et al. 2020 (DDPM), eq. 14; Salimans & Ho 2022, section 4; Lipman et al. 2022.

    >>> from diffusion_jax.process.predictions import X0
    >>> level = Level(jnp.float32(0.6), jnp.float32(0.8))
    >>> round(float(error_of("epsilon").weight(level, X0(), jnp.float32(1.0))), 4)
    0.5625
    """
    return ErrorOf(predictions.make(prediction, schedule=schedule, sigma_data=sigma_data))
