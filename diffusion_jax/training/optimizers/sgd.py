"""Stochastic gradient descent."""

from typing import ClassVar

import optax

from diffusion_jax.struct import Scalar, pytree
from diffusion_jax.training.optimizers.base import Optimizer, optimizers


@optimizers.register("sgd")
@pytree
class SGD(Optimizer):
    """Stochastic gradient descent with (heavy-ball) momentum.

    Attributes:
        learning_rate: at its largest.
        momentum: share of the past in the direction.
    """

    formula: ClassVar[str] = "mₜ = g + momentum mₜ₋₁"

    learning_rate: Scalar = 1e-2
    momentum: Scalar = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        self._shares("momentum")

    def rule(self) -> optax.GradientTransformation:
        return optax.trace(self.momentum)
