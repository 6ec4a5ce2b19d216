"""EDM's: unit variance, and the logarithm of the noise."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.process.level import Level
from diffusion_jax.process.preconditionings.base import preconditionings
from diffusion_jax.struct import Scalar, pytree


def input_scale(level: Level, sigma_data: Scalar) -> Float[Array, "..."]:
    """c_in = 1/sqrt(sigma² + alpha² sigma_data²), which gives the network unit variance.

    Source: Karras et al. 2022 (EDM), table 1, here for any alpha. It also makes the network
    blind to the scale of the process: x and level multiplied by the same number give the same.

    >>> input_scale(Level(jnp.float32(1.0), jnp.float32(0.0)), sigma_data=0.5)
    Array(2., dtype=float32)
    """
    return 1 / jnp.sqrt(level.sigma**2 + (level.alpha * sigma_data) ** 2)


def c_noise(level: Level) -> Float[Array, "..."]:
    """c_noise = log(sigma/alpha)/4, kept within ±2.5.

    Source: Karras et al. 2022 (EDM), table 1, at alpha = 1. The bound, at a log-SNR of ±20, keeps
    it finite where the signal or the noise vanishes.

    >>> c_noise(Level(jnp.float32(1.0), jnp.float32(0.0)))
    Array(-2.5, dtype=float32)
    """
    return -jnp.clip(level.log_snr, -20.0, 20.0) / 8


@preconditionings.register("edm")
@pytree
class EDMPreconditioning:
    """Unit variance, and a quarter of the logarithm of sigma/alpha.

    Source: Karras et al. 2022 (EDM), table 1.

    >>> seen = EDMPreconditioning()
    >>> abs(float(seen.c_noise(Level(jnp.float32(1.0), jnp.float32(1.0)))))
    0.0
    """

    formula: ClassVar[str] = "c_in = 1/√(σ² + α² sigma_data²), c_noise = log(σ/α)/4"

    def own_level(self, level: Level) -> Level:
        return level

    def input_scale(self, level: Level, sigma_data: Scalar) -> Float[Array, "..."]:
        return input_scale(level, sigma_data)

    def c_noise(self, level: Level) -> Float[Array, "..."]:
        return c_noise(level)
