"""Adam."""

from typing import ClassVar

import optax

from diffusion_jax.struct import Scalar, pytree
from diffusion_jax.training.optimizers.base import Optimizer, optimizers


@optimizers.register("adam")
@pytree
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015).

    Attributes:
        b1: share of the past in the mean of gradients.
        b2: in that of their squares.
        eps: added to the root of the latter.

    >>> optimizer = optimizers.make("adam(learning_rate=0.1, clip=1.0)", steps=100)
    """

    formula: ClassVar[str] = "m/(√v + eps), m and v the unbiased means of g and g²"

    b1: Scalar = 0.9
    b2: Scalar = 0.999
    eps: Scalar = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        self._shares("b1", "b2")
        self._not_negative("eps")

    def rule(self) -> optax.GradientTransformation:
        return optax.scale_by_adam(self.b1, self.b2, self.eps)
