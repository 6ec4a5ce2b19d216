"""Autoguidance: a bad version of the network guides the good one."""

from typing import ClassVar

from jaxtyping import Array, Float, PyTree

from diffusion_jax.errors import within
from diffusion_jax.process.denoiser import Denoiser
from diffusion_jax.process.level import Level
from diffusion_jax.sampling.guidance.base import Contrast, Pair, guidance, needed
from diffusion_jax.struct import pytree, static


@guidance.register("autoguidance")
@pytree
class Autoguidance(Contrast):
    """D = D_guide(x, c) + scale (D(x, c) - D_guide(x, c)), D_guide a weaker network.

    Both see the condition, so that errors which they share in kind are taken away, and variety is
    not. scale = 1 is no guidance. In a config the guide is another arm of the run, smaller or
    trained for less long, or an earlier checkpoint.

    Attributes:
        scale: how far to go from the guide's estimate to the denoiser's, and beyond.
        sigma_low: no guidance at or below this sigma/alpha.
        sigma_high: no guidance above it.
        channels: guides the first so many channels alone; None is all.
        arm: of the guide; by default the arm that is guided.
        step: of the guide's checkpoint; by default the newest.

    Source: Karras et al. 2024 (autoguidance), eq. 5.
    """

    formula: ClassVar[str] = "D = D_guide(x, c) + scale (D(x, c) − D_guide(x, c))"

    arm: str = static(default="")
    step: int | None = static(default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 1, float("inf"), "step")

    @property
    def guided_by(self) -> tuple[str, int | None]:
        return self.arm, self.step

    def pair(self, denoise: Denoiser, null: PyTree, guide: Denoiser | None) -> Pair:
        """The denoiser's estimate and the guide's."""
        weaker: Denoiser = needed(self, guide, "a second, weaker denoiser")

        def both(
            x: Float[Array, "batch ..."], level: Level, condition: PyTree, end: Level | None
        ) -> tuple[Array, Array]:
            return denoise(x, level, condition, end), weaker(x, level, condition, end)

        return both
