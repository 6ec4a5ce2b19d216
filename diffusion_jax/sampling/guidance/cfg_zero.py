"""CFG-Zero*."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import within
from diffusion_jax.process.level import Level
from diffusion_jax.process.per_sample import inner
from diffusion_jax.sampling.guidance.base import Combine, Contrast, guidance, needed
from diffusion_jax.sampling.sampling_run import SamplingRun
from diffusion_jax.struct import pytree, static


@guidance.register("cfg_zero")
@pytree
class CFGZero(Contrast):
    """v = s v(x, null) + scale (v(x, c) - s v(x, null)) with the best s; no motion at first.

    s = <v(x, c), v(x, null)>/|v(x, null)|², each sample's own, makes s v(x, null) the closest to
    v(x, c). On the first `zero_steps` steps v = 0, since there a network that is not fully
    trained is worse than none. v = eps - x_0 is the velocity of the straight path; v = 0 is
    x_0 = eps = x/(alpha + sigma). With no such steps, scale = 1 is no guidance.

    Attributes:
        scale: how far to go from the unconditional to the conditional velocity, and beyond.
        sigma_low: no guidance at or below this sigma/alpha.
        sigma_high: no guidance above it.
        channels: guides the first so many channels alone; None is all.
        zero_steps: how many of the first steps of the sampler do not move.

    Source: Fan et al. 2025 (CFG-Zero*), algorithm 1.
    """

    formula: ClassVar[str] = (
        "v = a v(x, ∅) + scale (v(x, c) − a v(x, ∅)), a = ⟨v(x, c), v(x, ∅)⟩/|v(x, ∅)|², v = ε − "
        "x₀, v = 0 in the first zero_steps steps"
    )

    zero_steps: int = static(default=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 0, float("inf"), "zero_steps")

    def combine(
        self,
        x: Float[Array, "batch ..."],
        level: Level,
        stronger: Float[Array, "batch ..."],
        weaker: Float[Array, "batch ..."],
    ) -> Float[Array, "batch ..."]:
        """The guided estimate at x, after the first steps."""
        level = level.like(x)
        with_condition, without = (
            (x - level.alpha * x0) / level.sigma - x0 for x0 in (stronger, weaker)
        )
        size = inner(without, without)
        best = inner(with_condition, without) / jnp.where(size > 0, size, 1)
        beyond = (self.scale - 1) * (with_condition - best * without)
        return stronger - level.sigma / (level.alpha + level.sigma) * beyond

    def begin(self, run: SamplingRun | None) -> Combine:
        """`combine` for one run of a sampler, whose first steps it has to know."""
        if self.zero_steps == 0:
            return self.combine
        nodes = needed(self, run, "to know the sampler's grid").nodes
        moving = nodes.level.noise_to_signal[min(self.zero_steps, nodes.time.shape[0] - 1)]

        def combine(x: Array, level: Level, stronger: Array, weaker: Array) -> Array:
            here = level.like(x)
            # A hair more than the first node that moves is that node still.
            still = here.noise_to_signal > (1 + 1e-5) * moving
            guided = self.combine(x, level, stronger, weaker)
            return jnp.where(still, x / (here.alpha + here.sigma), guided)

        return combine
