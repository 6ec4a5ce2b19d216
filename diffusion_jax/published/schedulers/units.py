"""Labels of noise levels that a pipeline divides before its network is told them."""

from jaxtyping import Array, Float

from diffusion_jax.process.level import Level
from diffusion_jax.process.preconditionings import Preconditioning
from diffusion_jax.struct import Scalar, pytree


@pytree
class InUnits:
    """What a network sees by another preconditioning, c_noise divided by a unit.

    Attributes:
        counted: the other.
        unit: such as the number of training steps, of which PRX's network is told shares.
    """

    counted: Preconditioning
    unit: Scalar

    def own_level(self, level: Level) -> Level:
        return self.counted.own_level(level)

    def input_scale(self, level: Level, sigma_data: Scalar) -> Float[Array, "..."]:
        return self.counted.input_scale(level, sigma_data)

    def c_noise(self, level: Level) -> Float[Array, "..."]:
        return self.counted.c_noise(level) / self.unit
