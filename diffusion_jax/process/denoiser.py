"""The denoiser (x, level, condition) → E[x_0 | x], and how a network is one.

Solvers, guidance, thresholds, inverse problems and likelihoods know of nothing else. A trained
network is a denoiser, so is an exact posterior mean, and what steers one returns another.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from diffusion_jax.errors import UserError
from diffusion_jax.process.level import Level
from diffusion_jax.process.per_sample import wide
from diffusion_jax.process.preconditionings import EDMPreconditioning, Preconditioning
from diffusion_jax.process.preconditionings.base import scale_between
from diffusion_jax.process.predictions import Prediction, to_x0
from diffusion_jax.struct import Scalar

EDM_PRECONDITIONING = EDMPreconditioning()

# (x (batch, ...), level of shape () or (batch,), condition, end or None) → x_0 (batch, ...)
Estimate = Callable[
    [Float[Array, "batch ..."], Level, PyTree, Level | None], Float[Array, "batch ..."]
]

# (x, level, condition) → E[x_0 | x], and the values that stand for a variance, of the same shape
Moments = Callable[
    [Float[Array, "batch ..."], Level, PyTree],
    tuple[Float[Array, "batch ..."], Float[Array, "batch ..."]],
]

# (c_in x (batch, ...), c_noise (batch,), condition) → prediction (batch, ...)
Network = Callable[
    [Float[Array, "batch ..."], Float[Array, "batch *numbers"], PyTree], Float[Array, "batch ..."]
]


@dataclasses.dataclass(frozen=True, eq=False)
class Denoiser:
    """The posterior mean (x, level, condition) → E[x_0 | x], and what else is known of it.

    Attributes:
        estimate: (x, level, condition, end) → x_0. `end` is where a step is to end, or None. A
            denoiser that knows of ends estimates an x_0 for the whole step: the one by which a
            step of DDIM lands where the flow leads.
        variance: how to read the variance of a reverse step that it tells, "learned" or
            "learned_range" (`process.posterior`); None if it tells none.
        moments: (x, level, condition) → E[x_0 | x] and the values that stand for the variance.
        knows_end: whether its estimate depends on the end.
        denoises: whether it is E[x_0 | x] where no end is given. Otherwise it is a consistency
            function: it goes to the data, whatever the end.
        prediction: what its network predicts, which may say nothing of x_0 at alpha = 0; None for
            a denoiser that is defined at every level.

    >>> denoise = Denoiser(lambda x, level, condition, end: level.alpha * x)
    >>> denoise(jnp.ones(1), Level(jnp.array(0.6), jnp.array(0.8)))
    Array([0.6], dtype=float32)
    """

    estimate: Estimate
    variance: str | None = None
    moments: Moments | None = None
    knows_end: bool = False
    denoises: bool = True
    prediction: Prediction | None = None

    def __post_init__(self) -> None:
        if not callable(self.estimate):
            raise UserError(
                "A Denoiser's estimate is a function (x, level, condition, end), not a "
                f"{type(self.estimate).__name__}."
            )

    @staticmethod
    def with_variance(
        variance: str, moments: Moments, prediction: Prediction | None = None
    ) -> "Denoiser":
        """The denoiser that also tells the variance of a reverse step.

        Args:
            variance: how to read it, "learned" or "learned_range".
            moments: (x, level, condition) → E[x_0 | x] and the values that stand for the variance.
            prediction: what its network predicts, see `Denoiser`.
        """
        return Denoiser(
            lambda x, level, condition, end: moments(x, level, condition)[0],
            variance,
            moments,
            prediction=prediction,
        )

    def __call__(
        self,
        x: Float[Array, "batch ..."],
        level: Level,
        condition: PyTree = None,
        end: Level | None = None,
    ) -> Float[Array, "batch ..."]:
        """The estimate of x_0.

        Args:
            x: noisy data, (batch, ...).
            level: its noise level, () or (batch,).
            condition: a dict of arrays with a batch axis; None for none.
            end: the level at which a step from here is to end; None is a step of no length.
        """
        return self.estimate(x, level, condition, end if self.knows_end else None)

    def with_moments(
        self, x: Float[Array, "batch ..."], level: Level, condition: PyTree = None
    ) -> tuple[Float[Array, "batch ..."], Float[Array, "batch ..."]]:
        """E[x_0 | x], and the values that stand for the variance of a reverse step.

        Raises:
            UserError: it tells no variance.
        """
        if self.moments is None:
            raise UserError(
                "This denoiser does not tell a variance: train with the loss 'hybrid' or "
                "'variational', or use variance=small."
            )
        return self.moments(x, level, condition)

    def wrapped(self, estimate: Estimate) -> "Denoiser":
        """A denoiser made of this one (guided, thresholded), with the variance of this one."""

        def moments(x: Array, level: Level, condition: PyTree) -> tuple[Array, Array]:
            return estimate(x, level, condition, None), self.with_moments(x, level, condition)[1]

        own = None if self.moments is None else moments
        return dataclasses.replace(self, estimate=estimate, moments=own)

    def with_condition(self, condition: PyTree) -> "Denoiser":
        """The denoiser under a condition that is given once, called as (x, level, end=None).

        >>> level = Level(jnp.array(0.6), jnp.array(0.8))
        >>> shifted = as_denoiser(lambda x, level, condition: x + condition)
        >>> shifted.with_condition(2.0)(jnp.ones(1), level)
        Array([3.], dtype=float32)
        """
        return dataclasses.replace(
            self,
            estimate=lambda x, level, _, end: self.estimate(x, level, condition, end),
            moments=None
            if self.moments is None
            else lambda x, level, _: self.with_moments(x, level, condition),
        )


# A plain function (x, level, condition) → E[x_0 | x] is taken wherever a denoiser is.
DenoiserLike = Denoiser | Callable[..., Float[Array, "batch ..."]]


def as_denoiser(function: DenoiserLike) -> Denoiser:
    """The denoiser that a function (x, level, condition) → E[x_0 | x] is; a denoiser is itself.

    Raises:
        UserError: it is no function.

    >>> as_denoiser(lambda x, level, condition: x).knows_end
    False
    """
    if isinstance(function, Denoiser):
        return function
    if not callable(function):
        raise UserError(
            "A denoiser is a function (x, level, condition), such as Objective.denoiser(network), "
            f"not a {type(function).__name__}."
        )
    return Denoiser(lambda x, level, condition, end: function(x, level, condition))


@runtime_checkable
class OwnDenoiser(Protocol):
    """A prediction that makes a denoiser of a network by itself (few-step networks)."""

    @property
    def denoises(self) -> bool:
        """Whether that is E[x_0 | x], and not a consistency function."""
        ...

    def denoiser(self, network: Network) -> Denoiser:
        """The denoiser."""
        ...


def denoises(prediction: Prediction) -> bool:
    """Whether a network with this prediction is a denoiser, and not a consistency function.

    >>> from diffusion_jax.process.predictions import X0
    >>> denoises(X0())
    True
    """
    return prediction.denoises if isinstance(prediction, OwnDenoiser) else True


def from_network(
    network: Network,
    prediction: Prediction,
    sigma_data: Scalar,
    variance: str | None = None,
    preconditioning: Preconditioning = EDM_PRECONDITIONING,
) -> Denoiser:
    """The denoiser that a trained network is.

    D(x, level) = x_0 part of network(c_in x, c_noise), by the 2 × 2 map of `process.predictions`.

    Args:
        network: (c_in x, c_noise, condition) → prediction, as it was trained.
        prediction: what the network predicts; an `OwnDenoiser` does all the rest.
        sigma_data: standard deviation of the data, as in training.
        variance: how to read the variance that the network tells in the second half of its
            channels, see `Denoiser`; None if it tells none.
        preconditioning: what it sees of x and of the noise level, as it was trained.

    Raises:
        UserError: a sigma_data that is not positive; when the denoiser is called, an output of the
            network that has another shape than x.

    >>> from diffusion_jax.process.predictions import X0
    >>> denoise = from_network(lambda x, c_noise, condition: 0 * x, X0(), sigma_data=0.5)
    >>> denoise(jnp.ones((2, 3)), Level(jnp.array(0.6), jnp.array(0.8))).shape
    (2, 3)
    """
    if not callable(network):
        raise UserError(f"The network must be a function, not a {type(network).__name__}.")
    if isinstance(sigma_data, (int, float)) and not 0 < sigma_data < math.inf:
        raise UserError(f"sigma_data must be positive and finite, not {sigma_data}.")
    if isinstance(prediction, OwnDenoiser):
        return prediction.denoiser(network)

    def predict(
        x: Float[Array, "batch ..."], level: Level, condition: PyTree
    ) -> tuple[Array, Level]:
        batch = (x.shape[0],)
        level = Level(jnp.broadcast_to(level.alpha, batch), jnp.broadcast_to(level.sigma, batch))
        scaled = wide(preconditioning.input_scale(level, sigma_data), x) * x
        c_noise = preconditioning.c_noise(level)
        output = network(scaled, c_noise, {} if condition is None else condition)
        _check_output(output, x.shape, variance)
        return output, level

    def data_of(value: Array, x: Array, level: Level) -> Array:
        own = preconditioning.own_level(level)
        if own is not level:
            x, level = wide(scale_between(level, own), x) * x, own
        return to_x0(value, x, level, prediction)

    def estimate(x: Array, level: Level, condition: PyTree, end: Level | None) -> Array:
        value, level = predict(x, level, condition)
        return data_of(value, x, level)

    def moments(x: Array, level: Level, condition: PyTree) -> tuple[Array, Array]:
        output, level = predict(x, level, condition)
        value, values = jnp.split(output, 2, axis=-1)
        return data_of(value, x, level), values

    if variance is None:
        return Denoiser(estimate, prediction=prediction)
    return Denoiser.with_variance(variance, moments, prediction)


def _check_output(output: object, shape: tuple[int, ...], variance: str | None) -> None:
    wanted = shape if variance is None else (*shape[:-1], 2 * shape[-1])
    found = getattr(output, "shape", None)
    if found != wanted:
        also = "" if variance is None else ", as it tells a variance too"
        raise UserError(
            f"The network's output must be of shape {wanted}{also}, not {found or type(output)}."
        )
