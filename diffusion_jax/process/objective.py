"""A training objective: schedule, prediction, time sampler, weighting and loss in one."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Num

from diffusion_jax.errors import UserError, positive
from diffusion_jax.process.denoiser import Denoiser, from_network
from diffusion_jax.process.held import SIGMA_DATA, filled
from diffusion_jax.process.losses import Loss, Output, Squared, losses
from diffusion_jax.process.per_sample import wide
from diffusion_jax.process.posterior import chain_step
from diffusion_jax.process.preconditionings import (
    EDMPreconditioning,
    Preconditioning,
    preconditionings,
)
from diffusion_jax.process.predictions import Prediction, predictions
from diffusion_jax.process.schedules import Schedule, schedules
from diffusion_jax.process.targets import TrainingTargets
from diffusion_jax.process.time_samplers import (
    LossAware,
    TimeSampler,
    Uniform,
    at_quantile,
    time_samplers,
)
from diffusion_jax.process.weightings import Weighting, weightings
from diffusion_jax.process.weightings.plain import Simple
from diffusion_jax.struct import Scalar, pytree

__all__ = ["Condition", "Network", "Objective", "TrainingTargets", "denoising_loss"]

Condition = Mapping[str, Num[Any, "rows ..."]]
"""What a network is given besides x and the noise: arrays with a row per sample; {} for none."""

Network = Callable[[Float[Array, "batch ..."], Float[Array, "batch *numbers"], Condition], Output]
"""(c_in x, c_noise, condition) → prediction of the shape of x, and what else the loss needs."""


@pytree
class Objective:
    """What is learned, at which noise levels, and how much each counts.

    The schedule and sigma_data are held here once: a prediction or a weighting that depends on
    them is given them, and one that has others is refused.

    Attributes:
        schedule: the process.
        prediction: what the network predicts.
        time_sampler: where in time training looks.
        weighting: how much each level counts.
        sigma_data: standard deviation of the data; pictures in [-1, 1] have about 0.5.
        loss_function: how an error becomes a number.
        preconditioning: what the network sees of x and of the noise level.

    Raises:
        UserError: parts with another schedule or sigma_data, a sigma_data that is not positive, or
            a spec or a class in place of an object.

    >>> from diffusion_jax.process.predictions import EDMPrediction
    >>> objective = Objective(schedules.make("cosine"), EDMPrediction(), sigma_data=0.7)
    >>> objective.prediction
    EDMPrediction(sigma_data=0.7)
    >>> x0 = jnp.ones((4, 2))
    >>> float(objective.loss(lambda x, c_noise, condition: 0 * x, x0, jax.random.key(0))) > 0
    True
    """

    schedule: Schedule
    prediction: Prediction
    time_sampler: TimeSampler = Uniform()
    weighting: Weighting = Simple()
    sigma_data: Scalar = SIGMA_DATA
    loss_function: Loss = Squared()
    preconditioning: Preconditioning = EDMPreconditioning()

    def __post_init__(self) -> None:
        _check_parts(self)
        positive(self, "sigma_data")
        for name in ("prediction", "weighting", "preconditioning"):
            own = filled(getattr(self, name), self.schedule, self.sigma_data)
            object.__setattr__(self, name, own)

    @staticmethod
    def make(
        schedule: str | Schedule,
        prediction: str | Prediction,
        time_sampler: str = "uniform",
        weighting: str = "simple",
        sigma_data: float = SIGMA_DATA,
        loss: str = "squared",
        preconditioning: str | Preconditioning = "edm",
    ) -> "Objective":
        """Makes an objective from specs; what is made already stays as it is.

        Raises:
            UserError: a spec is wrong.

        >>> objective = Objective.make("cosine", "edm")
        >>> round(float(objective.targets(jnp.array([0.5])).level.alpha[0]), 4)
        0.7071
        """
        process = schedules.make(schedule) if isinstance(schedule, str) else schedule
        held = {"schedule": process, "sigma_data": sigma_data}
        return Objective(
            process,
            predictions.make(prediction, **held) if isinstance(prediction, str) else prediction,
            time_samplers.make(time_sampler),
            weightings.make(weighting, **held),
            sigma_data,
            losses.make(loss),
            preconditionings.make(preconditioning)
            if isinstance(preconditioning, str)
            else preconditioning,
        )

    def targets(self, u: Float[Array, "batch"]) -> TrainingTargets:
        """Turns uniform draws, (batch,) in (0, 1), into what a training step needs."""
        return self.at(self.time_sampler.stratify(u))

    def at(self, u: Float[Array, "batch"]) -> TrainingTargets:
        """What a training step needs at the quantiles u of the training times, each by itself."""
        time, level, slope = at_quantile(self.time_sampler, self.schedule, u)
        own = self.preconditioning.own_level(level)
        a, b = self.prediction.coefficients(own)
        chain = self.loss_function.chain
        return TrainingTargets(
            level=level,
            input_scale=self.preconditioning.input_scale(level, self.sigma_data),
            c_noise=self.preconditioning.c_noise(level),
            a=a,
            b=b,
            weight=self.weighting.weight(own, self.prediction, slope),
            step=None if chain is None else chain_step(self.schedule, time, chain),
        )

    def loss(
        self,
        network: Network,
        x0: Num[Any, "batch ..."],
        key: Key[Array, ""],
        condition: Condition | None = None,
    ) -> Float[Array, ""]:
        """The mean of `losses`, which takes the same arguments: what a training step minimises."""
        return self.losses(network, x0, key, condition).mean()

    def losses(
        self,
        network: Network,
        x0: Num[Any, "batch ..."],
        key: Key[Array, ""],
        condition: Condition | None = None,
    ) -> Float[Array, "batch"]:
        """The loss of each sample at a noise level of its own.

        x = alpha x_0 + sigma eps with eps ~ N(0, I) and the level at a time of `time_sampler`; by
        default weight · mean_dims (network(c_in x, c_noise, condition) - (a x_0 + b eps))².

        Args:
            network: (c_in x, c_noise, condition) → prediction of the shape of x.
            x0: data, (batch, ...), of standard deviation sigma_data.
            key: of the noise and the times.
            condition: what else the network is given, a row per sample; None is {}.

        Raises:
            UserError: data, condition or output of the wrong shape or type; times that are all at
                one end of the schedule, or follow the losses of earlier steps, which a single one
                does not know.
        """
        check_spread(self)
        if not callable(network):
            raise UserError(f"The network must be a function, not a {type(network).__name__}.")
        _check_data(x0, condition or {})
        if not jnp.issubdtype(getattr(key, "dtype", int), jax.dtypes.prng_key):
            raise UserError(f"key must be one of jax.random.key(…), not {key!r}.")
        x0 = jnp.asarray(x0)
        if isinstance(self.time_sampler, LossAware):
            raise UserError(
                "The time sampler LossAware follows the losses of a whole training, and a loss "
                "alone knows none: train with dj.train, or take the time sampler within it."
            )
        times, noise = jax.random.split(key)
        # Half a step of float32 uniforms, which begin at 0.
        u = jax.random.uniform(times, x0.shape[:1], x0.dtype) + 2.0**-24
        eps = jax.random.normal(noise, x0.shape, x0.dtype)
        return denoising_loss(
            lambda x, c_noise: network(x, c_noise, condition or {}),
            self.targets(u),
            x0,
            eps,
            self.loss_function,
        )

    def denoiser(self, network: Network, variance: str | None = None) -> Denoiser:
        """The denoiser (x, level, condition) → E[x_0 | x] that a network trained with this is.

        Args:
            network: as it was trained, with its parameters. Of one that returns a pair, as the
                loss `uncertainty` wants it, the first is the prediction.
            variance: how to read the variance that it predicts in the second half of its channels,
                "learned" or "learned_range"; None is as the loss function has taught it.

        Raises:
            UserError: the network is no function.

        >>> from diffusion_jax.process.level import Level
        >>> from diffusion_jax.process.predictions import Epsilon
        >>> objective = Objective(schedules.make("cosine"), Epsilon())
        >>> denoise = objective.denoiser(lambda x, c_noise, condition: 0 * x)
        >>> denoise(jnp.ones((1, 1)), Level(jnp.array(0.5), jnp.array(0.8))).tolist()
        [[2.0]]
        """

        if not callable(network):
            raise UserError(f"The network must be a function, not a {type(network).__name__}.")

        def predict(x: Array, c_noise: Array, condition: Condition) -> Array:
            output = network(x, c_noise, condition)
            return output[0] if isinstance(output, tuple) else output

        known = self.loss_function.variance if variance is None else variance
        return from_network(predict, self.prediction, self.sigma_data, known, self.preconditioning)


SQUARED = Squared()


def denoising_loss(
    network: Callable[[Float[Array, "batch ..."], Float[Array, "batch"]], Output],
    targets: TrainingTargets,
    x0: Float[Array, "batch ..."],
    eps: Float[Array, "batch ..."],
    loss: Loss = SQUARED,
) -> Float[Array, "batch"]:
    """The loss of each sample of a network that sees it at a noise level.

    Args:
        network: (c_in x, c_noise) → prediction of the shape of x, and what else the loss needs.
        targets: levels, targets and weights, (batch,).
        x0: data, (batch, ...).
        eps: standard normal noise of the same shape.
        loss: how the output becomes a number.

    Returns:
        (batch,) losses; nats per dimension for the weighting "elbo".

    Raises:
        UserError: the output has another shape than the loss needs.
    """
    x = targets.level.mix(x0, eps)
    output = network(wide(targets.input_scale, x) * x, targets.c_noise)
    loss.check_output(output, x.shape)
    return loss(output, targets, x0, eps)


def check_spread(objective: Objective) -> None:
    """Refuses an objective that trains at one noise level alone, the end of its schedule.

    Raises:
        UserError: it does.
    """
    parts = objective.schedule, objective.time_sampler
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(parts)):
        return  # which numbers they are is not known yet
    with jax.ensure_compile_time_eval():
        time = objective.time_sampler.time(jnp.array([0.1, 0.9]), objective.schedule)
        first, last = map(float, objective.schedule.level(time).log_snr)
    if not first > last:
        raise UserError(
            f"Training would be at one noise level only, log-SNR {last:.3g}: the time "
            "sampler, or a shift, lies outside of what the schedule reaches."
        )


KINDS: dict[str, type] = {
    "schedule": Schedule,
    "prediction": Prediction,
    "time_sampler": TimeSampler,
    "weighting": Weighting,
    "loss_function": Loss,
    "preconditioning": Preconditioning,
}


def _check_parts(objective: Objective) -> None:
    for field, kind in KINDS.items():
        part = getattr(objective, field)
        if isinstance(part, str):
            raise UserError(
                f"Objective: {field} must be an object, not {part!r}. Objective.make takes specs."
            )
        if isinstance(part, type):
            name = part.__name__
            raise UserError(f"Objective: {field} is the class {name}; write {name}().")
        if not isinstance(part, kind):
            raise UserError(
                f"Objective: {field} must be a {kind.__name__}, not {type(part).__name__}: its "
                f"parts are {', '.join(KINDS)}, in this order, with sigma_data before the "
                "loss_function."
            )
    sigma_data = getattr(objective, "sigma_data")  # noqa: B009, as users may give anything
    if isinstance(sigma_data, (str, type(None))):
        raise UserError(f"Objective: sigma_data must be a number, not {sigma_data!r}.")


def _check_data(x0: Num[Any, "batch ..."], condition: Condition) -> None:
    if not hasattr(x0, "dtype"):
        raise UserError(f"x0 must be an array of shape (batch, ...), not a {type(x0).__name__}.")
    if not jnp.issubdtype(x0.dtype, jnp.floating) or x0.ndim < 2:
        raise UserError(
            f"x0 must be floats of shape (batch, ...), such as pictures in [-1, 1], not "
            f"{x0.dtype} of shape {x0.shape}."
        )
    if not isinstance(condition, Mapping):
        raise UserError(f"condition must be a dict of arrays, not a {type(condition).__name__}.")
    for name, values in condition.items():
        if not getattr(values, "shape", ()) or values.shape[0] != x0.shape[0]:
            raise UserError(
                f"condition[{name!r}] must have a row for each of the {x0.shape[0]} samples, and "
                f"has shape {getattr(values, 'shape', ())}."
            )
