"""What networks see that were trained on x_0 + sigma eps as it is."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.process.level import Level
from diffusion_jax.process.preconditionings.base import preconditionings
from diffusion_jax.struct import Scalar, pytree


@preconditionings.register("ve")
@pytree
class VEPreconditioning:
    """x at alpha = 1, unscaled, and the logarithm of sigma times a factor.

    c_in = 1/alpha and c_noise = log(factor sigma/alpha). The logarithm is kept within the log-SNR
    of ±60, so that it is finite where the signal or the noise vanishes.

    Attributes:
        factor: of sigma; 1/2 in NCSN++ as EDM states it, 1 for a plain logarithm.

    Source: Song et al. 2021 (score SDE), as in Karras et al. 2022 (EDM), table 1.

    >>> level = Level(jnp.float32(1.0), jnp.float32(2.0))
    >>> float(VEPreconditioning().c_noise(level)), float(VEPreconditioning().input_scale(level, 1))
    (0.0, 1.0)
    """

    formula: ClassVar[str] = "c_in = 1/α, c_noise = log(factor σ/α)"

    factor: Scalar = 0.5

    def own_level(self, level: Level) -> Level:
        return Level(jnp.ones_like(level.alpha), level.noise_to_signal)

    def input_scale(self, level: Level, sigma_data: Scalar) -> Float[Array, "..."]:
        return 1 / level.alpha

    def c_noise(self, level: Level) -> Float[Array, "..."]:
        return jnp.log(self.factor) - jnp.clip(level.log_snr, -60.0, 60.0) / 2
