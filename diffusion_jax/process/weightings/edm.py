"""EDM's weighting."""

from typing import ClassVar

from jaxtyping import Array, Float

from diffusion_jax.errors import positive
from diffusion_jax.process.held import known_sigma_data
from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import Prediction, determinant
from diffusion_jax.process.weightings.base import weightings
from diffusion_jax.struct import Scalar, pytree


@weightings.register("edm")
@pytree
class EDMWeighting:
    """(s² + sigma_data²)/(s sigma_data)² on x_0, with s = sigma/alpha; 1 on EDM's F.

    Attributes:
        sigma_data: standard deviation of the data; None is that of the objective that it is put
            into, or 0.5.

    Source: Karras et al. 2022 (EDM), table 1.
    """

    formula: ClassVar[str] = "w = (s² + sigma_data²)/(s sigma_data)², s = σ/α, on |x₀ − x̂₀|²"

    sigma_data: Scalar | None = None

    def __post_init__(self) -> None:
        positive(self, "sigma_data")

    def weight(
        self, level: Level, prediction: Prediction, slope: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        # sigma² of `on_x0` is cancelled by hand, so that the clean end stays finite.
        sigma_data = known_sigma_data(self.sigma_data)
        variance = level.sigma**2 + (level.alpha * sigma_data) ** 2
        return variance / (sigma_data * determinant(level, prediction)) ** 2
