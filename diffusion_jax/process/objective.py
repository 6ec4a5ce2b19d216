"""A training objective: schedule, prediction, time sampler, weighting and loss in one."""

from collections.abc import Callable
from typing import Any

from jaxtyping import Array, Float

from diffusion_jax.errors import positive
from diffusion_jax.process.losses import Loss, Squared, losses
from diffusion_jax.process.posterior import chain_step
from diffusion_jax.process.preconditioning import input_scale, noise_label
from diffusion_jax.process.predictions import Prediction, predictions
from diffusion_jax.process.schedules import Schedule, schedules
from diffusion_jax.process.targets import TrainingTargets, wide
from diffusion_jax.process.time_samplers import TimeSampler, at_quantile, time_samplers
from diffusion_jax.process.weightings import Weighting, weightings
from diffusion_jax.struct import Scalar, pytree

__all__ = ["Network", "Objective", "TrainingTargets", "denoising_loss"]


@pytree
class Objective:
    """What is learned, at which noise levels, and how much each counts.

    Attributes:
        schedule: the process.
        prediction: what the network predicts.
        time_sampler: where in time training looks.
        weighting: how much each level counts.
        sigma_data: standard deviation of the data; pictures in [-1, 1] have about 0.5.
        loss: how an error becomes a number.
    """

    schedule: Schedule
    prediction: Prediction
    time_sampler: TimeSampler
    weighting: Weighting
    sigma_data: Scalar = 0.5
    loss: Loss = Squared()

    def __post_init__(self) -> None:
        positive(self, "sigma_data")

    @staticmethod
    def make(
        schedule: str,
        prediction: str,
        time_sampler: str,
        weighting: str,
        sigma_data: float = 0.5,
        loss: str = "squared",
    ) -> "Objective":
        """Makes an objective from specs.

        Raises:
            UserError: a spec is wrong.

        >>> import jax.numpy as jnp
        >>> objective = Objective.make("cosine", "edm", "uniform", "simple")
        >>> round(float(objective.targets(jnp.array([0.5])).level.alpha[0]), 4)
        0.7071
        """
        process = schedules.make(schedule)
        return Objective(
            process,
            predictions.make(prediction, schedule=process, sigma_data=sigma_data),
            time_samplers.make(time_sampler),
            weightings.make(weighting, schedule=process, sigma_data=sigma_data),
            sigma_data,
            losses.make(loss),
        )

    def targets(self, u: Float[Array, "batch"]) -> TrainingTargets:
        """Turns uniform draws, (batch,) in (0, 1), into what a training step needs."""
        return self.at(self.time_sampler.stratify(u))

    def at(self, u: Float[Array, "batch"]) -> TrainingTargets:
        """What a training step needs at the quantiles u of the training times, each by itself."""
        time, level, slope = at_quantile(self.time_sampler, self.schedule, u)
        a, b = self.prediction.coefficients(level)
        chain = self.loss.chain
        return TrainingTargets(
            level=level,
            input_scale=input_scale(level, self.sigma_data),
            label=noise_label(level),
            a=a,
            b=b,
            weight=self.weighting.weight(level, self.prediction, slope),
            step=None if chain is None else chain_step(self.schedule, time, chain),
        )


SQUARED = Squared()

Network = Callable[[Float[Array, "batch ..."], Float[Array, "batch"]], Any]


def denoising_loss(
    network: Network,
    targets: TrainingTargets,
    x0: Float[Array, "batch ..."],
    eps: Float[Array, "batch ..."],
    loss: Loss = SQUARED,
) -> Float[Array, "batch"]:
    """The loss of each sample of a network that sees it at a noise level.

    x = alpha x_0 + sigma eps; by default
    weight · mean_dims (network(c_in x, label) - (a x_0 + b eps))².

    Args:
        network: (scaled x, label) → prediction of the shape of x, and what else the loss needs.
        targets: levels, targets and weights, (batch,).
        x0: data, (batch, ...).
        eps: standard normal noise of the same shape.
        loss: how the output becomes a number.

    Returns:
        (batch,) losses; nats per dimension for the weighting "elbo".
    """
    x = targets.level.mix(x0, eps)
    return loss(network(wide(targets.input_scale, x) * x, targets.label), targets, x0, eps)
