"""EDM's F."""

from typing import ClassVar

import jax.numpy as jnp

from diffusion_jax.errors import positive
from diffusion_jax.process.held import known_sigma_data
from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions.base import Coefficients, predictions
from diffusion_jax.struct import Scalar, pytree


@predictions.register("edm")
@pytree
class EDMPrediction:
    """EDM's F: the target of unit variance that mixes x_0 and eps so that errors count least.

    With s² = sigma² + alpha² sigma_data²:
    y = sigma/(sigma_data s) x_0 - sigma_data alpha/s eps.
    At alpha = 1 that is (x_0 - c_skip x)/c_out; at alpha² + sigma² = 1 and sigma_data = 1 it is -v.

    Attributes:
        sigma_data: standard deviation of the data; None is that of the objective that it is put
            into, or 0.5.

    Source: Karras et al. 2022 (EDM), eq. 8 and table 1, here for any alpha.
    """

    formula: ClassVar[str] = "y = σ/(sigma_data s) x₀ − sigma_data α/s ε, s² = σ² + α² sigma_data²"

    sigma_data: Scalar | None = None

    def __post_init__(self) -> None:
        positive(self, "sigma_data")

    def coefficients(self, level: Level) -> Coefficients:
        sigma_data = known_sigma_data(self.sigma_data)
        s = jnp.sqrt(level.sigma**2 + (level.alpha * sigma_data) ** 2)
        return level.sigma / (sigma_data * s), -sigma_data * level.alpha / s
