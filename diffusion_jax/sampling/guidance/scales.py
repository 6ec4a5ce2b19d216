"""One convention of the guidance scale here, several in the field.

Here, 1 is no guidance: D = D(x, null) + scale (D(x, c) - D(x, null)). It is also the s of
Dhariwal & Nichol's and GLIDE's formulas, Imagen's w, EDM2's and autoguidance's w, and what DiT and
SiT call cfg-scale.
"""

import jax.numpy as jnp
from jaxtyping import Array

from diffusion_jax.struct import Scalar


def from_weight(weight: Scalar) -> Scalar:
    """scale = 1 + w, from (1 + w) eps(x, c) - w eps(x, null), in which 0 is no guidance.

    Source: Ho & Salimans 2022, eq. 6.

    >>> from_weight(0.5)
    1.5
    """
    return 1 + weight


def from_pipeline(guidance_scale: Scalar) -> Scalar | Array:
    """scale = g where g > 1, else 1, from pipelines that turn guidance off at 1 and below.

    There the 0 that distilled models ask for means the condition alone, not its absence.

    Source: convention of the Stable Diffusion pipelines (`guidance_scale`).

    >>> [float(from_pipeline(g)) for g in (0.0, 1.0, 7.5)]
    [1.0, 1.0, 7.5]
    """
    return jnp.maximum(guidance_scale, 1.0)
