"""CFG++."""

from typing import ClassVar

from jaxtyping import Array

from diffusion_jax.errors import within
from diffusion_jax.process.level import Level
from diffusion_jax.sampling.guidance.base import Combine, Contrast, guidance, needed
from diffusion_jax.sampling.sampling_run import SamplingRun, next_level
from diffusion_jax.struct import pytree


@guidance.register("cfg_plus_plus")
@pytree
class CFGPlusPlus(Contrast):
    """x_s = alpha_s D_scale + sigma_s eps(x, null): the noise put back is the unconditional one.

    D_scale = D(x, null) + scale (D(x, c) - D(x, null)), an interpolation for scale in [0, 1];
    here 0 is no condition, and 1 is guided already. A step of DDIM from level t to level s that
    puts back its own noise arrives at the same x_s for the estimate
    D = D(x, null) + scale/(1 - r) (D(x, c) - D(x, null)) with r = (sigma_s/alpha_s)/(sigma/alpha),
    and that is what it is here, so that every solver takes it.

    Attributes:
        scale: the paper's lambda, from 0 to 1.
        sigma_low: no guidance at or below this sigma/alpha.
        sigma_high: no guidance above it.
        channels: guides the first so many channels alone; None is all.

    Source: Chung et al. 2024 (CFG++), algorithm 2.
    """

    formula: ClassVar[str] = (
        "D = D(x, ∅) + scale/(1 − r) (D(x, c) − D(x, ∅)), r = (σ_s/α_s)/(σ_t/α_t)"
    )

    scale: float | Array = 0.6

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 0, 1, "scale")

    def begin(self, run: SamplingRun | None) -> Combine:
        """`combine` for one run of a sampler, whose next node it has to know."""
        nodes = needed(self, run, "to know the sampler's grid").nodes

        def combine(x: Array, level: Level, stronger: Array, weaker: Array) -> Array:
            here, there = level.like(x), next_level(level, nodes).like(x)
            r = there.noise_to_signal / here.noise_to_signal
            return weaker + self.scale / (1 - r) * (stronger - weaker)

        return combine
