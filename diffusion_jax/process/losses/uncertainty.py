"""A weight that the network learns for each level."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.process.losses.base import Loss, losses
from diffusion_jax.process.per_sample import mean_square
from diffusion_jax.process.targets import TrainingTargets
from diffusion_jax.struct import pytree


@losses.register("uncertainty")
@pytree
class Uncertainty(Loss[tuple[Array, Array]]):
    """weight · mean_dims error²/exp(u) + u, where the network learns u(level) beside.

    At its best u is the logarithm of the weighted squared error at that level, so that all levels
    weigh on the parameters alike, however large their errors are.

    Source: Karras et al. 2024 (EDM2), eq. 14 and 21; Kendall et al. 2018 (multi-task learning).
    """

    formula: ClassVar[str] = "L = w mean_dims (y − ŷ)² exp(−u(λ)) + u(λ)"

    @property
    def uncertain(self) -> bool:
        return True

    def __call__(
        self,
        output: tuple[Array, Array],
        targets: TrainingTargets,
        x0: Float[Array, "batch ..."],
        eps: Float[Array, "batch ..."],
    ) -> Float[Array, "batch"]:
        value, u = output
        error = targets.weight * mean_square(value - targets.target(x0, eps))
        return error * jnp.exp(-u) + u
