"""The data, the noise, and v between them."""

from typing import ClassVar

import jax.numpy as jnp

from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions.base import Coefficients, predictions
from diffusion_jax.struct import pytree


@predictions.register("x0")
@pytree
class X0:
    """The data itself: y = x_0."""

    formula: ClassVar[str] = "y = x₀"

    def coefficients(self, level: Level) -> Coefficients:
        return jnp.ones_like(level.alpha), jnp.zeros_like(level.sigma)


@predictions.register("epsilon")
@pytree
class Epsilon:
    """The noise: y = eps. Tells nothing of x_0 where no signal is left (alpha = 0).

    Source: Ho et al. 2020 (DDPM), eq. 14.
    """

    formula: ClassVar[str] = "y = ε"

    def coefficients(self, level: Level) -> Coefficients:
        return jnp.zeros_like(level.alpha), jnp.ones_like(level.sigma)


@predictions.register("v")
@pytree
class V:
    """v = alpha eps - sigma x_0.

    Source: Salimans & Ho 2022 (progressive distillation), section 4.
    """

    formula: ClassVar[str] = "y = α ε − σ x₀"

    def coefficients(self, level: Level) -> Coefficients:
        return -level.sigma, level.alpha
