"""Classifier-free guidance."""

from typing import ClassVar

from diffusion_jax.sampling.guidance.base import Contrast, guidance
from diffusion_jax.struct import pytree


@guidance.register("classifier_free")
@pytree
class ClassifierFree(Contrast):
    """D = D(x, null) + scale (D(x, c) - D(x, null)) where sigma_low < sigma/alpha <= sigma_high.

    D(x, c) elsewhere. In this convention scale = 1 is no guidance; `scales` converts from the
    others. At a given x the formula is the same for x_0, eps, v and the score.

    Attributes:
        scale: how far to go from the unconditional to the conditional estimate, and beyond.
        sigma_low: no guidance at or below this sigma/alpha.
        sigma_high: no guidance above it.
        channels: guides the first so many channels (the last axis) alone, as DiT does with 3 of
            its 4; None is all.

    Source: Ho & Salimans 2022, eq. 6; Kynkäänniemi et al. 2024 for the interval.

    >>> import jax.numpy as jnp
    >>> from diffusion_jax.process.level import Level
    >>> guide = ClassifierFree(scale=3.0)
    >>> toy = lambda x, level, condition: 0 * x + condition[:, None]
    >>> level = Level(jnp.array(0.6), jnp.array(0.8))
    >>> float(guide(toy, jnp.array([1.0]))(jnp.zeros((1, 1)), level, jnp.array([2.0]))[0, 0])
    4.0
    """

    formula: ClassVar[str] = (
        "D = D(x, ∅) + scale (D(x, c) − D(x, ∅)) where sigma_low < σ/α ≤ sigma_high"
    )
