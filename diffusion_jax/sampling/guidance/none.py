"""No guidance."""

from typing import ClassVar

from jaxtyping import PyTree

from diffusion_jax.process.denoiser import Denoiser, DenoiserLike, as_denoiser
from diffusion_jax.sampling.guidance.base import guidance
from diffusion_jax.sampling.sampling_run import SamplingRun
from diffusion_jax.struct import pytree


@guidance.register("none")
@pytree
class NoGuidance:
    """The conditional denoiser as it is."""

    formula: ClassVar[str] = "D = D(x, c)"

    passes: ClassVar[int] = 1
    guided_by: ClassVar[None] = None
    perturbs: ClassVar[None] = None
    remembers: ClassVar[bool] = False

    def __call__(
        self,
        denoise: DenoiserLike,
        null: PyTree,
        run: SamplingRun | None = None,
        guide: DenoiserLike | None = None,
    ) -> Denoiser:
        return as_denoiser(denoise)
