"""What a preconditioning is, and the registry of all."""

from typing import Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.registry import Registry
from diffusion_jax.struct import Scalar


@runtime_checkable
class Preconditioning(Protocol):
    """What a network sees of x and of the noise level.

    A member is a frozen dataclass (`diffusion_jax.struct.pytree`) with these three. What the
    network sees does not depend on the scale of the process: where x and its level are multiplied
    by a number, c_in is divided by it, and c_noise stays.
    """

    def own_level(self, level: Level) -> Level:
        """The level of the same log-SNR in the process that the network's predictions are of.

        The same object, where that is whatever process x is of.
        """
        ...

    def input_scale(self, level: Level, sigma_data: Scalar) -> Float[Array, "..."]:
        """c_in, by which x is multiplied.

        Args:
            level: the noise level of x, of any shape.
            sigma_data: standard deviation of the data.
        """
        ...

    def c_noise(self, level: Level) -> Float[Array, "..."]:
        """The number by which the network is told the noise level."""
        ...


def scale_between(level: Level, other: Level) -> Float[Array, "..."]:
    """The factor by which x at a level is at another of the same log-SNR.

    >>> unit, five = Level(jnp.array(0.6), jnp.array(0.8)), Level(jnp.array(3.0), jnp.array(4.0))
    >>> float(scale_between(unit, five))
    5.0
    """
    return jnp.hypot(other.alpha, other.sigma) / jnp.hypot(level.alpha, level.sigma)


def known_clock(member: str, clock: Schedule | None) -> Schedule:
    """The schedule whose time a network is told.

    Raises:
        UserError: there is none.
    """
    if clock is None:
        raise UserError(
            f"The preconditioning {member!r} was given no schedule: put it into an Objective, or "
            f"write {member}(clock=…)."
        )
    return clock


ROUNDINGS = ("none", "nearest", "down")
CLOSE = 1e-4  # by which a number may miss a whole one for want of digits


def rounded(values: Float[Array, "..."], rounding: str) -> Float[Array, "..."]:
    """Numbers of timesteps as a network is told them.

    Args:
        values: numbers.
        rounding: a member of `ROUNDINGS`.

    >>> rounded(jnp.array([1.7, 1.9999]), "down").tolist()
    [1.0, 2.0]
    """
    if rounding == "nearest":
        return jnp.round(values)
    return jnp.floor(values + CLOSE) if rounding == "down" else values


preconditionings: Registry[Preconditioning] = Registry("preconditioning", Preconditioning)
