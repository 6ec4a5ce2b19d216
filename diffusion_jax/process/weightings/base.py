"""What a weighting is, the registry of all, and how a weight on one error is one on another.

A weighting multiplies the squared error of the prediction that the network makes. The papers
state theirs on the error in x_0, in eps or in the velocity of a straight path; `on_x0`,
`on_epsilon` and `on_velocity` restate those for any prediction (see `predictions`, 4).

What matters in the end is the density of training times over log-SNR times the weight. As a
weight w(log_snr) on the evidence lower bound (Kingma & Gao 2023, eq. 6),
L = 1/2 ∫ w(log_snr) E|eps - eps_hat|² d log_snr, `effective_weight` returns it for any
combination: 1 everywhere is the bound itself.
"""

from typing import Protocol, runtime_checkable

from jaxtyping import Array, Float

from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import Prediction, determinant
from diffusion_jax.registry import Registry


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


def on_velocity(
    weight: Float[Array, "..."], level: Level, prediction: Prediction
) -> Float[Array, "..."]:
    """A weight on the squared error in eps - x_0, restated for the error of `prediction`.

    That is the velocity of the straight path through the same sigma/alpha (alpha + sigma = 1).
    """
    return weight * ((level.alpha + level.sigma) / determinant(level, prediction)) ** 2


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
