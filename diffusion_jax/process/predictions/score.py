"""The score of the noisy data, as it is and times sigma."""

from typing import ClassVar

import jax.numpy as jnp

from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions.base import Coefficients, predictions
from diffusion_jax.struct import pytree


@predictions.register("score")
@pytree
class Score:
    """The score of the noisy data, in expectation: y = -eps/sigma.

    Source: Song et al. 2021 (score SDE), section 3.3.
    """

    formula: ClassVar[str] = "y = −ε/σ"

    def coefficients(self, level: Level) -> Coefficients:
        return jnp.zeros_like(level.alpha), -1 / level.sigma


@predictions.register("scaled_score")
@pytree
class ScaledScore:
    """The score times sigma, in expectation: y = -eps.

    What networks of variance-exploding processes give before they are divided by sigma: with
    alpha = 1, x_0 = x + sigma y.

    Source: Song et al. 2021 (score SDE), appendix C; Karras et al. 2022 (EDM), table 1, column VE.
    """

    formula: ClassVar[str] = "y = −ε"

    def coefficients(self, level: Level) -> Coefficients:
        return jnp.zeros_like(level.alpha), -jnp.ones_like(level.sigma)
