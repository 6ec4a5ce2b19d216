"""Running averages of the parameters, free of bias towards where they start.

Every member gives the weight w_t of the newest parameters in

    ema_t = ema_{t-1} + w_t (params_t - ema_{t-1}),

with w_1 = 1. So the average after one update is those parameters, whatever it started from, and
the average of a constant is that constant.
"""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from diffusion_jax.errors import UserError, positive, within
from diffusion_jax.registry import Registry
from diffusion_jax.struct import Scalar, pytree, static
from diffusion_jax.training import posthoc


@runtime_checkable
class Average(Protocol):
    """Says how much the newest parameters count."""

    def weight(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """w_t of update number t = `step`, counted from 1."""


averages: Registry[Average] = Registry("ema")


@averages.register("decay")
@pytree
class Decay:
    """Exponential weights d^(t-k), divided by their sum: w_t = (1 - d) / (1 - d^t).

    The division is Adam's bias correction (Kingma & Ba 2015, section 3), applied to the average
    as it is built rather than when it is read.

    Attributes:
        decay: d, in [0, 1).

    >>> float(Decay(0.5).weight(jnp.int32(1)))
    1.0
    """

    decay: Scalar = 0.999

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise UserError(f"ema 'decay' needs 0 <= decay < 1, got {self.decay}.")

    def weight(self, step: Int[Array, ""]) -> Float[Array, ""]:
        log_decay = jnp.log(jnp.float32(self.decay))
        return jnp.expm1(log_decay) / jnp.expm1(step * log_decay)


@averages.register("half_life")
@pytree
class HalfLife:
    """A half-life counted in pictures, shorter at the start.

    w_t = 1 - 2^(-B / h) for batches of B pictures, with h = min(samples, ramp_up n) after n
    pictures. Independent of the batch size, so that runs with different batches compare.
    Source: Karras et al. 2022 (EDM), table 6 and their training loop.

    Attributes:
        samples: half-life, in pictures.
        ramp_up: largest share of the pictures seen so far that the half-life may be.
        batch_size: B; filled in from the config.

    >>> float(HalfLife(samples=100, ramp_up=1.0, batch_size=10).weight(jnp.int32(2)))
    0.5
    """

    samples: Scalar = 500_000
    ramp_up: Scalar = 0.05
    batch_size: Scalar = 1

    def __post_init__(self) -> None:
        if self.samples <= 0 or self.ramp_up <= 0:
            raise UserError(
                "ema 'half_life' needs samples > 0 and ramp_up > 0, "
                f"got samples={self.samples}, ramp_up={self.ramp_up}."
            )

    def weight(self, step: Int[Array, ""]) -> Float[Array, ""]:
        seen = jnp.asarray(step - 1, float) * self.batch_size
        half_life = jnp.minimum(self.samples, self.ramp_up * seen)
        return -jnp.expm1(-jnp.log(2.0) * self.batch_size / half_life)


@averages.register("power_function")
@pytree
class PowerFunction:
    """Weights that grow as a power of training time: w_t = 1 - (1 - 1/t)^(gamma + 1).

    The average spans the same share of the training at any time, and forgets the start. Snapshots
    of averages of a few widths give that of any other afterwards: see `training.posthoc`.

    Attributes:
        std: width of the weights, as a share of the training so far, in (0, 0.2886]; it sets
            gamma.

    Raises:
        UserError: a width outside.

    Source: Karras et al. 2024 (EDM2), section 3.1.

    >>> round(float(PowerFunction(std=12**-0.5).weight(jnp.int32(4))), 6)
    0.25
    """

    std: float = static(default=0.1)

    def __post_init__(self) -> None:
        posthoc.exponent(self.std)

    def weight(self, step: Int[Array, "..."] | Float[Array, "..."]) -> Float[Array, "..."]:
        gamma = float(posthoc.exponent(self.std))
        return -jnp.expm1((gamma + 1) * jnp.log1p(-1 / step))


@averages.register("inverse_power")
@pytree
class InversePower:
    """A decay that warms up: w_t = max((1 + (t - 1)/inv_gamma)^-power, 1 - decay).

    Attributes:
        inv_gamma: number of updates in which the warm-up sets in.
        power: 1 gives equal weights at inv_gamma = 1; less forgets faster.
        decay: largest share that the past keeps in an update, in [0, 1].

    Raises:
        UserError: a setting that is not positive, or a decay outside.

    Source: Crowson 2022 (k-diffusion), its warm-up of averages.

    >>> round(float(InversePower(power=1.0).weight(jnp.int32(4))), 6)
    0.25
    """

    inv_gamma: Scalar = 1.0
    power: Scalar = 2 / 3
    decay: Scalar = 0.9999

    def __post_init__(self) -> None:
        positive(self, "inv_gamma", "power")
        within(self, 0.0, 1.0, "decay")

    def weight(self, step: Int[Array, ""]) -> Float[Array, ""]:
        return jnp.maximum((1 + (step - 1) / self.inv_gamma) ** -self.power, 1 - self.decay)


@averages.register("none")
@pytree
class NoAverage:
    """The newest parameters alone: w_t = 1."""

    def weight(self, step: Int[Array, ""]) -> Float[Array, ""]:
        return jnp.ones(())


def update(
    average: Average, ema: PyTree[Any], params: PyTree[Any], step: Int[Array, ""]
) -> PyTree[Any]:
    """The average after update number `step` (from 1), which gave `params`.

    >>> update(Decay(0.9), jnp.zeros(2), jnp.ones(2), jnp.int32(1))
    Array([1., 1.], dtype=float32)
    """
    weight = average.weight(step)
    return jax.tree.map(lambda old, new: old + weight * (new - old), ema, params)
