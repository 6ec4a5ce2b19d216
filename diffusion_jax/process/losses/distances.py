"""Losses that are a distance of the prediction from its target, times the weight of the level."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import positive
from diffusion_jax.process.losses.base import Loss, losses
from diffusion_jax.process.per_sample import mean_dims, mean_square, pseudo_huber
from diffusion_jax.process.targets import TrainingTargets
from diffusion_jax.struct import Scalar, pytree


@losses.register("squared")
@pytree
class Squared(Loss[Array]):
    """weight · mean_dims error²: the only one whose minimum is the conditional mean.

    Source: Ho et al. 2020 (DDPM), eq. 14.
    """

    formula: ClassVar[str] = "L = w mean_dims (y − ŷ)²"

    def __call__(
        self,
        output: Array,
        targets: TrainingTargets,
        x0: Float[Array, "batch ..."],
        eps: Float[Array, "batch ..."],
    ) -> Float[Array, "batch"]:
        return targets.weight * mean_square(output - targets.target(x0, eps))


@losses.register("absolute")
@pytree
class Absolute(Loss[Array]):
    """weight · mean_dims |error|; the network learns a median in place of the mean.

    Source: Chen et al. 2020 (WaveGrad), section 3; Saharia et al. 2021 (Palette), section 3.2.
    """

    formula: ClassVar[str] = "L = w mean_dims |y − ŷ|"

    def __call__(
        self,
        output: Array,
        targets: TrainingTargets,
        x0: Float[Array, "batch ..."],
        eps: Float[Array, "batch ..."],
    ) -> Float[Array, "batch"]:
        return targets.weight * mean_dims(jnp.abs(output - targets.target(x0, eps)))


@losses.register("pseudo_huber")
@pytree
class PseudoHuber(Loss[Array]):
    """weight · (sqrt(mean_dims error² + c²) - c): square below c, linear above.

    The paper's c counts the length of the whole vector: it is sqrt(dims) times this one, and its
    loss is sqrt(dims) times this one.

    Attributes:
        c: root-mean-square error at which it bends; 0.00054 for consistency training.

    Source: Song & Dhariwal 2023 (improved consistency training), eq. 8 and section 3.3.
    """

    formula: ClassVar[str] = "L = w (√(mean_dims (y − ŷ)² + c²) − c)"

    c: Scalar = 0.03

    def __post_init__(self) -> None:
        positive(self, "c")

    def __call__(
        self,
        output: Array,
        targets: TrainingTargets,
        x0: Float[Array, "batch ..."],
        eps: Float[Array, "batch ..."],
    ) -> Float[Array, "batch"]:
        square = mean_square(output - targets.target(x0, eps))
        return targets.weight * pseudo_huber(square, self.c)
