"""A distribution given as a table, for instance measured from losses."""

import itertools
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.process.time_samplers.base import TimeSampler, at_noise, time_samplers
from diffusion_jax.struct import pytree


@time_samplers.register("quantiles")
@pytree
class Quantiles(TimeSampler):
    """Given values of log(sigma/alpha), with equal shares of training between neighbours.

    Linear between the values, and clipped to what the schedule reaches.

    Attributes:
        log_noise: two or more, increasing.

    >>> from diffusion_jax.process.schedules import schedules
    >>> table = Quantiles(log_noise=(-1.0, 0.0, 3.0))
    >>> round(float(table.time(jnp.float32(0.5), schedules.make("edm"))), 3)
    1.0
    """

    formula: ClassVar[str] = (
        "log(σ/α) = log_noiseᵢ at u = i/(n − 1), i = 0 … n − 1, linear in u between"
    )

    log_noise: tuple[float, ...] | Float[Array, "entries"] = (-4.6, -1.2, 2.2)

    def __post_init__(self) -> None:
        values = self.log_noise
        if isinstance(values, tuple) and not (
            len(values) > 1 and all(a < b for a, b in itertools.pairwise(values))
        ):
            raise UserError(
                f"Quantiles: log_noise must be two or more increasing numbers, not {values}."
            )

    def time(self, u: Float[Array, "*shape"], schedule: Schedule) -> Float[Array, "*shape"]:
        values = jnp.asarray(self.log_noise, u.dtype)
        shares = jnp.linspace(0, 1, values.shape[0], dtype=u.dtype)
        return at_noise(schedule, jnp.interp(u, shares, values))
