"""What a network predicts, and how to turn one prediction into any other.

1. The process is x = alpha x_0 + sigma eps.
2. Every target in the literature is y = a x_0 + b eps with coefficients that depend on the level.
3. Together they are one 2 × 2 linear map (x_0, eps) → (x, y) with determinant
   det = alpha b - sigma a, whose inverse is
       x_0 = (b x - sigma y)/det,    eps = (alpha y - a x)/det.
4. At a given x, an error of delta in y is one of -sigma delta/det in x_0 and alpha delta/det in
   eps. Losses on different predictions differ by these factors alone.
"""

from typing import ClassVar, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import positive, within
from diffusion_jax.process.held import known_schedule, known_sigma_data
from diffusion_jax.process.level import Level
from diffusion_jax.process.posterior import chain_step
from diffusion_jax.process.schedules import Schedule, rate
from diffusion_jax.registry import Registry
from diffusion_jax.struct import Scalar, pytree, static

Coefficients = tuple[Float[Array, "..."], Float[Array, "..."]]


@runtime_checkable
class Prediction(Protocol):
    """A kind of target: the coefficients of x_0 and eps in it."""

    def coefficients(self, level: Level) -> Coefficients:
        """(a, b) of the target a x_0 + b eps, each of the level's shape."""
        ...


predictions: Registry[Prediction] = Registry("prediction")


@predictions.register("x0")
@pytree
class X0:
    """The data itself: y = x_0."""

    formula: ClassVar[str] = "y = x₀"

    def coefficients(self, level: Level) -> Coefficients:
        return jnp.ones_like(level.alpha), jnp.zeros_like(level.sigma)


@predictions.register("epsilon")
@pytree
class Epsilon:
    """The noise: y = eps. Tells nothing of x_0 where no signal is left (alpha = 0).

    Source: Ho et al. 2020 (DDPM), eq. 14.
    """

    formula: ClassVar[str] = "y = ε"

    def coefficients(self, level: Level) -> Coefficients:
        return jnp.zeros_like(level.alpha), jnp.ones_like(level.sigma)


@predictions.register("v")
@pytree
class V:
    """v = alpha eps - sigma x_0.

    Source: Salimans & Ho 2022 (progressive distillation), section 4.
    """

    formula: ClassVar[str] = "y = α ε − σ x₀"

    def coefficients(self, level: Level) -> Coefficients:
        return -level.sigma, level.alpha


@predictions.register("score")
@pytree
class Score:
    """The score of the noisy data, in expectation: y = -eps/sigma.

    Source: Song et al. 2021 (score SDE), section 3.3.
    """

    formula: ClassVar[str] = "y = −ε/σ"

    def coefficients(self, level: Level) -> Coefficients:
        return jnp.zeros_like(level.alpha), -1 / level.sigma


@predictions.register("scaled_score")
@pytree
class ScaledScore:
    """The score times sigma, in expectation: y = -eps.

    What networks of variance-exploding processes give before they are divided by sigma: with
    alpha = 1, x_0 = x + sigma y.

    Source: Song et al. 2021 (score SDE), appendix C; Karras et al. 2022 (EDM), table 1, column VE.
    """

    formula: ClassVar[str] = "y = −ε"

    def coefficients(self, level: Level) -> Coefficients:
        return jnp.zeros_like(level.alpha), -jnp.ones_like(level.sigma)


@predictions.register("velocity")
@pytree
class Velocity:
    """The velocity of x in the schedule's own time: y = alpha'(t) x_0 + sigma'(t) eps.

    For rectified flow without shift that is eps - x_0.

    Attributes:
        schedule: whose time it is; None is that of the objective that it is put into.

    Source: Lipman et al. 2022 (flow matching), theorem 3; Albergo et al. 2023.
    """

    formula: ClassVar[str] = "y = α′(t) x₀ + σ′(t) ε"

    schedule: Schedule | None = None

    def coefficients(self, level: Level) -> Coefficients:
        schedule = known_schedule(self, self.schedule)
        slope = rate(schedule, schedule.time(level.log_snr))
        return slope.alpha, slope.sigma


@predictions.register("edm")
@pytree
class EDM:
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


@predictions.register("previous")
@pytree
class Previous:
    """The mean of q(x_s | x, x_0), with s one of T steps before x; x_0 itself at the first.

    y = (of_x0 + of_x alpha) x_0 + of_x sigma eps, with the coefficients of `process.posterior`.

    Attributes:
        schedule: whose chain it is; None is that of the objective that it is put into.
        steps: T.

    Source: Ho et al. 2020 (DDPM), eq. 8.
    """

    formula: ClassVar[str] = "y = α_s (1 − r² σ_s²/σ²) x₀ + r σ_s²/σ² x, r = α/α_s, s = t − t_max/T"

    schedule: Schedule | None = None
    steps: int = static(default=1000)

    def __post_init__(self) -> None:
        within(self, 2, float("inf"), "steps")

    def coefficients(self, level: Level) -> Coefficients:
        schedule = known_schedule(self, self.schedule)
        step = chain_step(schedule, schedule.time(level.log_snr), self.steps).posterior
        return step.of_x0 + step.of_x * level.alpha, step.of_x * level.sigma


def determinant(level: Level, prediction: Prediction) -> Float[Array, "..."]:
    """alpha b - sigma a, of the level's shape."""
    a, b = prediction.coefficients(level)
    return level.alpha * b - level.sigma * a


def split(
    value: Float[Array, "..."], x: Float[Array, "..."], level: Level, prediction: Prediction
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """The (x_0, eps) that a predicted value stands for at x.

    Args:
        value: the prediction y, of the shape of x.
        x: noisy data, (batch, ...) or any shape that the level broadcasts against from the left.
        level: noise level of x.
        prediction: what kind of target `value` is.

    Returns:
        x_0 = (b x - sigma y)/det and eps = (alpha y - a x)/det.

    >>> level = Level(jnp.float32(0.6), jnp.float32(0.8))
    >>> x0, eps = split(jnp.array([1.0]), jnp.array([1.4]), level, Epsilon())
    >>> round(float(x0[0]), 4), round(float(eps[0]), 4)
    (1.0, 1.0)
    """
    level = level.like(x)
    a, b = prediction.coefficients(level)
    det = level.alpha * b - level.sigma * a
    return (b * x - level.sigma * value) / det, (level.alpha * value - a * x) / det


def to_x0(
    value: Float[Array, "..."], x: Float[Array, "..."], level: Level, prediction: Prediction
) -> Float[Array, "..."]:
    """The x_0 that a predicted value stands for at x; arguments as in `split`."""
    return split(value, x, level, prediction)[0]


def convert(
    value: Float[Array, "..."],
    x: Float[Array, "..."],
    level: Level,
    source: Prediction,
    target: Prediction,
) -> Float[Array, "..."]:
    """Turns a prediction of kind `source` into the one of kind `target` at the same x.

    >>> level = Level(jnp.float32(0.6), jnp.float32(0.8))
    >>> v = convert(jnp.array([1.0]), jnp.array([1.4]), level, Epsilon(), V())
    >>> round(float(v[0]), 4)
    -0.2
    """
    x0, eps = split(value, x, level, source)
    c, d = target.coefficients(level.like(x))
    return c * x0 + d * eps
