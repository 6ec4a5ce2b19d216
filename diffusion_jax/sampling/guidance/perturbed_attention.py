"""Perturbed-attention guidance: the network without its self-attention guides the whole of it."""

from typing import ClassVar

from jaxtyping import Array, Float, PyTree

from diffusion_jax.errors import UserError
from diffusion_jax.process.denoiser import Denoiser
from diffusion_jax.process.level import Level
from diffusion_jax.sampling.guidance.base import Contrast, Pair, guidance, needed
from diffusion_jax.struct import pytree, static


@guidance.register("perturbed_attention")
@pytree
class PerturbedAttention(Contrast):
    """D = D_pert(x, c) + scale (D(x, c) - D_pert(x, c)), D_pert without self-attention.

    The same network, whose self-attention maps are replaced by the identity, so that each cell
    looks at itself alone: it paints textures without structure, which guidance then leads away
    from. It needs no condition. scale = 1 is no guidance; the paper's s is scale - 1.

    Attributes:
        scale: how far to go from the perturbed to the whole network's estimate, and beyond.
        sigma_low: no guidance at or below this sigma/alpha.
        sigma_high: no guidance above it.
        channels: guides the first so many channels alone; None is all.
        layers: which self-attentions are replaced, numbered from the input; all if empty.

    Source: Ahn et al. 2024 (perturbed-attention guidance), eq. 14-16.
    """

    formula: ClassVar[str] = (
        "D = D_pert(x, c) + scale (D(x, c) − D_pert(x, c)), D_pert without self-attention"
    )

    layers: tuple[int, ...] = static(default=())

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(layer < 0 for layer in self.layers):
            raise UserError(f"PerturbedAttention: layers are numbered from 0, not {self.layers}.")

    @property
    def perturbs(self) -> tuple[int, ...]:
        return self.layers

    def pair(self, denoise: Denoiser, null: PyTree, guide: Denoiser | None) -> Pair:
        """The whole network's estimate and the perturbed one's."""
        weaker: Denoiser = needed(self, guide, "the network without its self-attention")

        def both(
            x: Float[Array, "batch ..."], level: Level, condition: PyTree, end: Level | None
        ) -> tuple[Array, Array]:
            return denoise(x, level, condition, end), weaker(x, level, condition, end)

        return both
