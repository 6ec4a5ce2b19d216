"""How much each noise level counts in the loss.

A weighting multiplies the squared error of the prediction that the network makes. The papers
state theirs on the error in x_0 or in eps; `on_x0` and `on_epsilon` restate those for any
prediction (see `predictions`, 4).

What matters in the end is the density of training times over log-SNR times the weight. As a
weight w(log_snr) on the evidence lower bound (Kingma & Gao 2023, eq. 6),
L = 1/2 ∫ w(log_snr) E|eps - eps_hat|² d log_snr, `effective_weight` returns it for any
combination: 1 everywhere is the bound itself.
"""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import finite, positive
from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import Prediction, determinant
from diffusion_jax.registry import Registry
from diffusion_jax.struct import Scalar, pytree


@runtime_checkable
class Weighting(Protocol):
    """A weight for each noise level."""

    def weight(
        self, level: Level, prediction: Prediction, slope: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        """The weight of the squared error of `prediction` at `level`.

        Args:
            level: noise levels, any shape.
            prediction: whose error is squared.
            slope: |d log_snr/du| of the training times at `level`, the inverse of their density.
        """
        ...


weightings: Registry[Weighting] = Registry("weighting")


def on_x0(weight: Float[Array, "..."], level: Level, prediction: Prediction) -> Float[Array, "..."]:
    """A weight on |x_0 - x_0_hat|², restated for the error of `prediction`."""
    return weight * (level.sigma / determinant(level, prediction)) ** 2


def on_epsilon(
    weight: Float[Array, "..."], level: Level, prediction: Prediction
) -> Float[Array, "..."]:
    """A weight on |eps - eps_hat|², restated for the error of `prediction`."""
    return weight * (level.alpha / determinant(level, prediction)) ** 2


@weightings.register("simple")
@pytree
class Simple:
    """1: the plain squared error of whatever the network predicts.

    Source: Ho et al. 2020 (DDPM), eq. 14, for epsilon.
    """

    def weight(
        self, level: Level, prediction: Prediction, slope: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        return jnp.ones_like(level.alpha)


@weightings.register("edm")
@pytree
class EDMWeighting:
    """(s² + sigma_data²)/(s sigma_data)² on x_0, with s = sigma/alpha.

    Attributes:
        sigma_data: standard deviation of the data.

    Source: Karras et al. 2022 (EDM), table 1.
    """

    sigma_data: Scalar = 0.5

    def __post_init__(self) -> None:
        positive(self, "sigma_data")

    def weight(
        self, level: Level, prediction: Prediction, slope: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        # sigma² of `on_x0` is cancelled by hand, so that the clean end stays finite.
        variance = level.sigma**2 + (level.alpha * self.sigma_data) ** 2
        return variance / (self.sigma_data * determinant(level, prediction)) ** 2


@weightings.register("min_snr")
@pytree
class MinSNR:
    """min(SNR, gamma) on x_0.

    On epsilon that is min(1, gamma/SNR); on v, min(SNR, gamma)/(SNR + 1).

    Attributes:
        gamma: the SNR at which the weight stops growing.

    Source: Hang et al. 2023 (min-SNR), section 3.4.
    """

    gamma: Scalar = 5.0

    def __post_init__(self) -> None:
        positive(self, "gamma")

    def weight(
        self, level: Level, prediction: Prediction, slope: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        # sigma² min(SNR, gamma), whose SNR alone would be infinite at the clean end.
        capped = jnp.minimum(level.alpha**2, self.gamma * level.sigma**2)
        return capped / determinant(level, prediction) ** 2


@weightings.register("elbo")
@pytree
class ELBO:
    """The evidence lower bound, in nats: 1/2 |d log_snr/du| on epsilon.

    The loss is then an unbiased estimate of the diffusion part of the bound (per dimension),
    whatever the schedule and the training times.

    Source: Kingma et al. 2021 (VDM), eq. 17.
    """

    def weight(
        self, level: Level, prediction: Prediction, slope: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        return on_epsilon(slope / 2, level, prediction)


@weightings.register("sigmoid")
@pytree
class SigmoidWeighting:
    """The bound weighted by sigmoid(bias - log_snr).

    Attributes:
        bias: the log-SNR up to which levels count.

    Source: Kingma & Gao 2023 (VDM++), section 4.2; Hoogeboom et al. 2024 (SiD2), eq. 5.
    """

    bias: Scalar = 0.0

    def __post_init__(self) -> None:
        finite(self, "bias")

    def weight(
        self, level: Level, prediction: Prediction, slope: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        importance = jax.nn.sigmoid(self.bias - level.log_snr)
        return on_epsilon(importance * slope / 2, level, prediction)


def effective_weight(
    weight: Float[Array, "..."],
    level: Level,
    prediction: Prediction,
    slope: Float[Array, "..."],
) -> Float[Array, "..."]:
    """w(log_snr) of a weight on the error of `prediction` under training times with `slope`.

    Returns:
        2 weight (det/alpha)²/slope: 1 everywhere for the evidence lower bound.

    Source: Kingma & Gao 2023 (VDM++), eq. 6 and table 1.
    """
    return 2 * weight * (determinant(level, prediction) / level.alpha) ** 2 / slope
