"""Variance-exploding schedules: alpha = 1."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import ordered, positive
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules.base import schedules
from diffusion_jax.struct import Scalar, pytree


@schedules.register("ve")
@pytree
class VE:
    """The variance-exploding process: alpha = 1, sigma = sigma_min (sigma_max/sigma_min)^t.

    Attributes:
        sigma_min: noise at t = 0, in units of the data.
        sigma_max: noise at t = 1.

    Source: Song et al. 2021 (score SDE), eq. 31. EDM's "VE" arm has 0.02 and 100.

    >>> round(float(VE().level(jnp.float32(1.0)).sigma), 3)
    50.0
    """

    formula: ClassVar[str] = "α = 1, σ = sigma_min (sigma_max/sigma_min)^t"

    sigma_min: Scalar = 0.01
    sigma_max: Scalar = 50.0

    def __post_init__(self) -> None:
        positive(self, "sigma_min", "sigma_max")
        ordered(self, "sigma_min", "sigma_max")

    t_min = 0.0
    t_max = 1.0

    def level(self, time: Float[Array, "..."]) -> Level:
        ratio = jnp.log(self.sigma_max) - jnp.log(self.sigma_min)
        return Level(jnp.ones_like(time), self.sigma_min * jnp.exp(ratio * time))

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        ratio = jnp.log(self.sigma_max) - jnp.log(self.sigma_min)
        return (-log_snr / 2 - jnp.log(self.sigma_min)) / ratio


@schedules.register("edm")
@pytree
class EDM:
    """EDM's process, in which time is the noise itself: alpha = 1, sigma = t.

    Attributes:
        sigma_min: least noise, in units of the data.
        sigma_max: most noise.

    Source: Karras et al. 2022 (EDM), table 1.

    >>> EDM().level(jnp.float32(3.0)).sigma
    Array(3., dtype=float32)
    """

    formula: ClassVar[str] = "α = 1, σ = t"

    sigma_min: Scalar = 0.002
    sigma_max: Scalar = 80.0

    def __post_init__(self) -> None:
        positive(self, "sigma_min", "sigma_max")
        ordered(self, "sigma_min", "sigma_max")

    @property
    def t_min(self) -> Scalar:
        return self.sigma_min

    @property
    def t_max(self) -> Scalar:
        return self.sigma_max

    def level(self, time: Float[Array, "..."]) -> Level:
        return Level(jnp.ones_like(time), time)

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.exp(-log_snr / 2)


@schedules.register("ve_sqrt")
@pytree
class VESqrt:
    """EDM's variance-exploding process, in which time is the variance: alpha = 1, sigma = sqrt(t).

    Attributes:
        sigma_min: least noise, in units of the data.
        sigma_max: most noise.

    Source: Karras et al. 2022 (EDM), table 1, column VE.

    >>> VESqrt().level(jnp.float32(9.0)).sigma
    Array(3., dtype=float32)
    """

    formula: ClassVar[str] = "α = 1, σ = √t"

    sigma_min: Scalar = 0.02
    sigma_max: Scalar = 100.0

    def __post_init__(self) -> None:
        positive(self, "sigma_min", "sigma_max")
        ordered(self, "sigma_min", "sigma_max")

    @property
    def t_min(self) -> Scalar:
        return self.sigma_min**2

    @property
    def t_max(self) -> Scalar:
        return self.sigma_max**2

    def level(self, time: Float[Array, "..."]) -> Level:
        return Level(jnp.ones_like(time), jnp.sqrt(time))

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.exp(-log_snr)
