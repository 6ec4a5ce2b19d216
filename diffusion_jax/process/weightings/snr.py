"""Weights stated as functions of the signal-to-noise ratio, SNR = alpha²/sigma².

Each is written as sigma² times the weight on x_0 over det², with SNR's division by sigma² done by
hand, so that the clean end stays finite.
"""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import positive, within
from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import Prediction, determinant
from diffusion_jax.process.weightings.base import on_epsilon, weightings
from diffusion_jax.struct import Scalar, pytree


@weightings.register("snr")
@pytree
class SNR:
    """SNR + plus on x_0.

    With plus = 0 that is 1 on epsilon, with plus = 1 (and alpha² + sigma² = 1) 1 on v.

    Attributes:
        plus: weight that is left where no signal is.

    Source: Salimans & Ho 2022 (progressive distillation), section 4.
    """

    formula: ClassVar[str] = "w = SNR + plus, on |x₀ − x̂₀|²"

    plus: Scalar = 0.0

    def __post_init__(self) -> None:
        within(self, 0, float("inf"), "plus")

    def weight(
        self, level: Level, prediction: Prediction, slope: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        return (level.alpha**2 + self.plus * level.sigma**2) / determinant(level, prediction) ** 2


@weightings.register("truncated_snr")
@pytree
class TruncatedSNR:
    """max(SNR, floor) on x_0.

    Attributes:
        floor: the least weight.

    Source: Salimans & Ho 2022 (progressive distillation), section 4.
    """

    formula: ClassVar[str] = "w = max(SNR, floor), on |x₀ − x̂₀|²"

    floor: Scalar = 1.0

    def __post_init__(self) -> None:
        positive(self, "floor")

    def weight(
        self, level: Level, prediction: Prediction, slope: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        raised = jnp.maximum(level.alpha**2, self.floor * level.sigma**2)
        return raised / determinant(level, prediction) ** 2


@weightings.register("min_snr")
@pytree
class MinSNR:
    """min(SNR, gamma) on x_0.

    On epsilon that is min(1, gamma/SNR); on v, min(SNR, gamma)/(SNR + 1).

    Attributes:
        gamma: the SNR at which the weight stops growing.

    Source: Hang et al. 2023 (min-SNR), section 3.4.
    """

    formula: ClassVar[str] = "w = min(SNR, gamma), on |x₀ − x̂₀|²"

    gamma: Scalar = 5.0

    def __post_init__(self) -> None:
        positive(self, "gamma")

    def weight(
        self, level: Level, prediction: Prediction, slope: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        capped = jnp.minimum(level.alpha**2, self.gamma * level.sigma**2)
        return capped / determinant(level, prediction) ** 2


@weightings.register("soft_min_snr")
@pytree
class SoftMinSNR:
    """gamma SNR/(SNR + gamma) on x_0: min-SNR without its corner.

    Attributes:
        gamma: what the weight tends to; k-diffusion has 1/sigma_data², the default for 0.5.

    Source: Crowson et al. 2024 (HDiT), section 3.4.
    """

    formula: ClassVar[str] = "w = gamma SNR/(SNR + gamma), on |x₀ − x̂₀|²"

    gamma: Scalar = 4.0

    def __post_init__(self) -> None:
        positive(self, "gamma")

    def weight(
        self, level: Level, prediction: Prediction, slope: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        # gamma sigma² SNR/(SNR + gamma), whose denominator vanishes nowhere.
        signal, noise = level.alpha**2, level.sigma**2
        soft = self.gamma * signal * noise / (signal + self.gamma * noise)
        return soft / determinant(level, prediction) ** 2


@weightings.register("p2")
@pytree
class P2:
    """(k + SNR)^-gamma on epsilon: less on the levels at which only imperceptible detail is left.

    Attributes:
        k: the SNR about which the weight bends.
        gamma: 0 is plain epsilon; the paper has 0.5 and 1.

    Source: Choi et al. 2022 (P2 weighting), eq. 8.
    """

    formula: ClassVar[str] = "w = (k + SNR)^(−gamma), on |ε − ε̂|²"

    k: Scalar = 1.0
    gamma: Scalar = 1.0

    def __post_init__(self) -> None:
        positive(self, "k")
        within(self, 0, float("inf"), "gamma")

    def weight(
        self, level: Level, prediction: Prediction, slope: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        signal, noise = level.alpha**2, level.sigma**2
        return on_epsilon((noise / (self.k * noise + signal)) ** self.gamma, level, prediction)
