"""Adaptive projected guidance."""

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import positive, within
from diffusion_jax.process.level import Level
from diffusion_jax.process.per_sample import inner
from diffusion_jax.sampling.guidance.base import Combine, Contrast, guidance, needed
from diffusion_jax.sampling.sampling_run import SamplingRun
from diffusion_jax.struct import Scalar, pytree, static


@guidance.register("apg")
@pytree
class AdaptiveProjected(Contrast):
    """D = D(x, c) + (scale - 1) (orthogonal + eta parallel), parts of a kept-short difference.

    The difference is g = D(x, c) - D(x, null) + momentum g_before, of the evaluation before, then
    shortened to the norm `longest`. Its part parallel to D(x, c) is what saturates colours. Norms
    and parts are each sample's own. scale = 1 is no guidance; eta = 1, momentum = 0 and no bound
    on the norm are classifier-free guidance.

    Attributes:
        scale: how far to go from the unconditional to the conditional estimate, and beyond.
        sigma_low: no guidance at or below this sigma/alpha.
        sigma_high: no guidance above it.
        channels: guides the first so many channels alone; None is all.
        eta: share of the parallel part.
        longest: largest norm of the difference; it grows with the square root of a sample's size.
        momentum: share of the last difference; below 0 it pushes away from where it went before.

    Source: Sadat et al. 2024 (APG), eq. 7-10 and algorithm 1.
    """

    formula: ClassVar[str] = (
        "D = D(x, c) + (scale − 1) (g⊥ + eta g∥), g = Δ min(1, longest/|Δ|), Δ = D(x, c) − D(x, ∅) "
        "+ momentum Δ_before, g∥ the part of g along D(x, c)"
    )

    eta: Scalar = 0.0
    longest: Scalar = math.inf
    momentum: float = static(default=-0.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 0, 1, "eta")
        within(self, -1, 1, "momentum")
        if self.longest != math.inf:
            positive(self, "longest")

    @property
    def remembers(self) -> bool:
        return self.momentum != 0

    def update(
        self, stronger: Float[Array, "batch ..."], difference: Float[Array, "batch ..."]
    ) -> Float[Array, "batch ..."]:
        """The guided estimate, given the difference with its momentum."""
        square = inner(difference, difference)
        # Written so that derivatives are finite, of a difference of 0 and without a bound.
        norm = jnp.sqrt(jnp.where(square > 0, square, 1))
        short = difference / jnp.maximum(1, norm / self.longest)
        size = inner(stronger, stronger)
        parallel = inner(short, stronger) / jnp.where(size > 0, size, 1) * stronger
        return stronger + (self.scale - 1) * (short - parallel + self.eta * parallel)

    def begin(self, run: SamplingRun | None) -> Combine:
        """`combine` for one run of a sampler, on which it remembers the last difference."""
        if not self.remembers:
            return lambda x, level, stronger, weaker: self.update(stronger, stronger - weaker)
        # What one evaluation leaves for the next, whatever a solver does between them.
        start: SamplingRun = needed(self, run, "to know where the sampler starts")
        last = jax.new_ref(jnp.zeros_like(start.x))

        def combine(x: Array, level: Level, stronger: Array, weaker: Array) -> Array:
            difference = stronger - weaker + self.momentum * last[...]
            # What a posterior asks of derivatives is of this evaluation, not of the next.
            last[...] = jax.lax.stop_gradient(difference)
            return self.update(stronger, difference)

        return combine
