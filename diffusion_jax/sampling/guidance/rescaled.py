"""Rescaled classifier-free guidance."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import one_of, within
from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import X0, convert, determinant, predictions
from diffusion_jax.sampling.guidance.base import Contrast, guidance
from diffusion_jax.struct import Scalar, pytree, static


@guidance.register("rescaled")
@pytree
class RescaledGuidance(Contrast):
    """y = (phi std(y(x, c))/std(y_g) + 1 - phi) y_g, with y_g that of classifier-free guidance.

    Guidance makes what the network predicts vary more over a picture than it should, which
    overexposes; the standard deviation of each sample is brought back in part. phi = 0 is
    classifier-free guidance.

    Attributes:
        scale: how far to go from the unconditional to the conditional estimate, and beyond.
        sigma_low: no guidance at or below this sigma/alpha.
        sigma_high: no guidance above it.
        channels: guides the first so many channels alone; None is all.
        phi: how much of the rescaling to do.
        of: what y is, "x0", "epsilon" or "v": the paper's network predicts v.

    Source: Lin et al. 2023 (zero terminal SNR), eq. 14-16.
    """

    formula: ClassVar[str] = (
        "y = (phi std(y(x, c))/std(y_g) + 1 − phi) y_g, y_g = y(x, ∅) + scale (y(x, c) − y(x, ∅))"
    )

    phi: Scalar = 0.7
    of: str = static(default="x0")

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 0, 1, "phi")
        one_of(self.of, ("x0", "epsilon", "v"), "prediction to rescale")

    def combine(
        self,
        x: Float[Array, "batch ..."],
        level: Level,
        stronger: Float[Array, "batch ..."],
        weaker: Float[Array, "batch ..."],
    ) -> Float[Array, "batch ..."]:
        """The guided estimate at x."""
        kind, axes = predictions.make(self.of), tuple(range(1, x.ndim))
        guided = super().combine(x, level, stronger, weaker)
        before, after = (convert(x0, x, level, X0(), kind) for x0 in (stronger, guided))
        wanted, found = (jnp.std(y, axis=axes, keepdims=True) for y in (before, after))
        # At found = 0 nothing varies that could be rescaled.
        factor = self.phi * wanted / jnp.where(found > 0, found, 1) + (1 - self.phi)
        # eps of pure noise is that noise, guided or not: nothing to rescale, nor to convert.
        blind = determinant(level.like(x), kind) == 0
        return jnp.where(blind, guided, convert(factor * after, x, level, kind, X0()))
