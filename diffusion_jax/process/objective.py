"""A training objective: schedule, prediction, training times and weighting, brought together."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import positive
from diffusion_jax.process.level import Level
from diffusion_jax.process.preconditioning import input_scale, noise_label
from diffusion_jax.process.predictions import Prediction, predictions
from diffusion_jax.process.schedules import Schedule, schedules
from diffusion_jax.process.times import Times, log_snr_slope, times
from diffusion_jax.process.weightings import Weighting, weightings
from diffusion_jax.struct import Scalar, pytree


@pytree
class Points:
    """All that a training step needs to know of an arm, for each sample of a batch.

    Plain arrays: one compiled step serves arms with any schedules, predictions, training times
    and weightings.

    Attributes:
        level: noise levels, (batch,).
        input_scale: factor that gives the network's input unit variance, (batch,).
        label: what tells the network the noise level, (batch,).
        a: coefficient of x_0 in the target, (batch,).
        b: coefficient of eps in the target, (batch,).
        weight: weight of the squared error, (batch,).
    """

    level: Level
    input_scale: Float[Array, "*batch"]
    label: Float[Array, "*batch"]
    a: Float[Array, "*batch"]
    b: Float[Array, "*batch"]
    weight: Float[Array, "*batch"]


@pytree
class Objective:
    """What is learned, at which noise levels, and how much each counts.

    Attributes:
        schedule: the process.
        prediction: what the network predicts.
        times: where in time training looks.
        weighting: how much each level counts.
        sigma_data: standard deviation of the data; pictures in [-1, 1] have about 0.5.
    """

    schedule: Schedule
    prediction: Prediction
    times: Times
    weighting: Weighting
    sigma_data: Scalar = 0.5

    def __post_init__(self) -> None:
        positive(self, "sigma_data")

    @staticmethod
    def make(
        schedule: str, prediction: str, times: str, weighting: str, sigma_data: float = 0.5
    ) -> "Objective":
        """Makes an objective from specs.

        Raises:
            UserError: a spec is wrong.

        >>> objective = Objective.make("cosine", "edm", "uniform", "simple")
        >>> round(float(objective.points(jnp.array([0.5])).level.alpha[0]), 4)
        0.7071
        """
        process = schedules.make(schedule)
        return Objective(
            process,
            predictions.make(prediction, schedule=process, sigma_data=sigma_data),
            _times.make(times),
            weightings.make(weighting, sigma_data=sigma_data),
            sigma_data,
        )

    def points(self, u: Float[Array, "batch"]) -> Points:
        """Turns uniform draws, (batch,) in (0, 1), into what a training step needs."""
        u = self.times.stratify(u)
        level = self.schedule.level(self.times.time(u, self.schedule))
        a, b = self.prediction.coefficients(level)
        slope = log_snr_slope(self.times, self.schedule, u)
        return Points(
            level=level,
            input_scale=input_scale(level, self.sigma_data),
            label=noise_label(level),
            a=a,
            b=b,
            weight=self.weighting.weight(level, self.prediction, slope),
        )


_times = times

Network = Callable[[Float[Array, "batch ..."], Float[Array, "batch"]], Any]


def denoising_loss(
    network: Network,
    points: Points,
    x0: Float[Array, "batch ..."],
    eps: Float[Array, "batch ..."],
) -> Float[Array, "batch"]:
    """The weighted denoising loss of each sample.

    x = alpha x_0 + sigma eps;  weight · mean_dims (network(c_in x, label) - (a x_0 + b eps))².

    Args:
        network: (scaled x, label) → prediction of the shape of x.
        points: levels, targets and weights, (batch,).
        x0: data, (batch, ...).
        eps: standard normal noise of the same shape.

    Returns:
        (batch,) losses; nats per dimension for the weighting "elbo".
    """

    def wide(values: Float[Array, "batch"]) -> Float[Array, "batch ..."]:
        return values.reshape(values.shape + (1,) * (x0.ndim - 1))

    x = points.level.mix(x0, eps)
    target = wide(points.a) * x0 + wide(points.b) * eps
    error = network(wide(points.input_scale) * x, points.label) - target
    return points.weight * jnp.mean(error**2, axis=tuple(range(1, x0.ndim)))
