"""Denoisers: functions (x, level, condition) → E[x_0 | x], and how a network is one."""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.process.level import Level
from diffusion_jax.process.preconditioning import c_noise, input_scale
from diffusion_jax.process.predictions import Prediction, to_x0
from diffusion_jax.struct import Scalar

# (x (batch, ...), level of shape () or (batch,), condition or None) → E[x_0 | x] (batch, ...)
Denoiser = Callable[[Float[Array, "batch ..."], Level, Any], Float[Array, "batch ..."]]

# (scaled x (batch, ...), noise label (batch,), condition) → prediction (batch, ...)
Network = Callable[
    [Float[Array, "batch ..."], Float[Array, "batch *numbers"], Any], Float[Array, "batch ..."]
]


@runtime_checkable
class Reads(Protocol):
    """A prediction that makes a denoiser of a network in a way of its own."""

    @property
    def denoises(self) -> bool:
        """Whether that is E[x_0 | x], and not a consistency function."""
        ...

    def denoiser(self, network: Network) -> Denoiser:
        """The denoiser."""
        ...


@dataclasses.dataclass(frozen=True)
class VarianceDenoiser:
    """A denoiser that also tells the variance of a reverse step from x.

    Called, it is a `Denoiser` like any other.

    Attributes:
        kind: how to read what is told: "learned" or "learned_range", see `process.posterior`.
        estimate: (x, level, condition) → E[x_0 | x], and what is told, of the same shape.
    """

    kind: str
    estimate: Callable[..., tuple[Array, Array]]

    def __call__(self, x: Float[Array, "batch ..."], *rest: Any) -> Float[Array, "batch ..."]:
        return self.estimate(x, *rest)[0]

    def steered(self, denoise: Callable[..., Array]) -> "VarianceDenoiser":
        """A denoiser made from this one (guided, thresholded), with the variance of this one."""
        return VarianceDenoiser(self.kind, lambda *args: (denoise(*args), self.estimate(*args)[1]))


@dataclasses.dataclass(frozen=True)
class JumpDenoiser:
    """A denoiser that knows where a step is to end: it estimates an x_0 for the whole of it.

    That is the x_0 by which a step of DDIM lands where the flow leads: E[x_0 | x] for a step of no
    length, and the data at the end of the flow for one that goes all the way. Called without an
    end, it is a `Denoiser` like any other.

    Attributes:
        denoises: whether it is E[x_0 | x] then. Otherwise it is a consistency function: it goes all
            the way, whatever the end.
        estimate: (x, here, there, condition) → x_0, with levels of shape () or (batch,).
    """

    denoises: bool
    estimate: Callable[..., Array]

    def __call__(
        self, x: Float[Array, "batch ..."], level: Level, *condition: Any
    ) -> Float[Array, "batch ..."]:
        return self.estimate(x, level, level, *condition)

    def steered(
        self, steer: Callable[..., Denoiser], guide: Denoiser | None = None
    ) -> "JumpDenoiser":
        """With a function from denoisers to denoisers (guidance, thresholds) at work in each step.

        Args:
            steer: (this denoiser, the guide) → denoiser. It is called once, so that what it
                remembers from step to step is that of one run.
            guide: another denoiser, which is asked for the same steps if it knows of them.
        """
        ends: list[Level] = []

        def to_the_end(denoise: Denoiser) -> Denoiser:
            if not isinstance(denoise, JumpDenoiser):
                return denoise
            return lambda x, level, condition: denoise.estimate(x, level, ends[-1], condition)

        def estimate(x: Array, here: Level, there: Level, condition: Any) -> Array:
            ends.append(there)
            try:
                return denoise(x, here, condition)
            finally:
                ends.pop()

        denoise = steer(to_the_end(self), None if guide is None else to_the_end(guide))
        return JumpDenoiser(self.denoises, estimate)


def towards(
    denoise: Callable[..., Array], x: Float[Array, "batch ..."], here: Level, there: Level
) -> Float[Array, "batch ..."]:
    """The estimate of x_0 for a step between two levels, by a denoiser that may know of ends.

    >>> level = Level(jnp.array(0.6), jnp.array(0.8))
    >>> towards(lambda x, level: 2 * x, jnp.ones(1), level, level)
    Array([2.], dtype=float32)
    """
    if isinstance(denoise, JumpDenoiser):
        return denoise.estimate(x, here, there)
    return denoise(x, here)


def settled(denoise: Denoiser, condition: Any) -> Callable[..., Array]:
    """The denoiser with its condition given: (x, level) → E[x_0 | x]; it tells what it told.

    >>> level = Level(jnp.array(0.6), jnp.array(0.8))
    >>> settled(lambda x, level, condition: x + condition, 2.0)(jnp.ones(1), level)
    Array([3.], dtype=float32)
    """
    if isinstance(denoise, VarianceDenoiser):
        tells = denoise.estimate
        return VarianceDenoiser(denoise.kind, lambda x, level: tells(x, level, condition))
    if isinstance(denoise, JumpDenoiser):
        goes = denoise.estimate
        return JumpDenoiser(
            denoise.denoises, lambda x, here, there: goes(x, here, there, condition)
        )
    return lambda x, level: denoise(x, level, condition)


def from_network(
    network: Network, prediction: Prediction, sigma_data: Scalar, variance: str | None = None
) -> Denoiser:
    """The denoiser that a trained network is.

    D(x, level) = x_0 part of network(c_in x, label), by the 2 × 2 map of `process.predictions`.

    Args:
        network: (c_in x, label, condition) → prediction, as it was trained.
        prediction: what the network predicts; one that `Reads` does all the rest.
        sigma_data: standard deviation of the data, as in training.
        variance: how to read the variance that the network tells in the second half of its
            channels (`VarianceDenoiser`); None if it tells none.

    >>> from diffusion_jax.process.predictions import X0
    >>> denoise = from_network(lambda x, label, condition: 0 * x, X0(), sigma_data=0.5)
    >>> denoise(jnp.ones((2, 3)), Level(jnp.array(0.6), jnp.array(0.8)), None).shape
    (2, 3)
    """

    if isinstance(prediction, Reads):
        return prediction.denoiser(network)

    def predict(x: Float[Array, "batch ..."], level: Level, condition: Any) -> Any:
        batch = (x.shape[0],)
        level = Level(jnp.broadcast_to(level.alpha, batch), jnp.broadcast_to(level.sigma, batch))
        scaled = input_scale(level, sigma_data).reshape(batch + (1,) * (x.ndim - 1)) * x
        return network(scaled, c_noise(level), condition), level

    def denoise(x: Float[Array, "batch ..."], level: Level, condition: Any) -> Any:
        value, level = predict(x, level, condition)
        return to_x0(value, x, level, prediction)

    def estimate(x: Float[Array, "batch ..."], level: Level, condition: Any) -> Any:
        output, level = predict(x, level, condition)
        value, told = jnp.split(output, 2, axis=-1)
        return to_x0(value, x, level, prediction), told

    return denoise if variance is None else VarianceDenoiser(variance, estimate)
