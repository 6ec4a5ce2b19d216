"""FLUX.1: a transformer on squares of latents, asked for by CLIP and T5."""

import dataclasses
from typing import ClassVar

import numpy as np

from diffusion_jax.errors import UserError
from diffusion_jax.networks.conditioners.base import Rows
from diffusion_jax.published.pipelines.base import (
    Asked,
    FolderPipeline,
    Prompts,
    Size,
    pipelines,
)
from diffusion_jax.published.pipelines.captions import check_length, encoded
from diffusion_jax.sampling.guidance import Guidance

TOLD = 3.5  # scale of guidance of the original
SIDE = 128  # latents along a side of the original's pictures, whatever the network


@pipelines.register("FluxPipeline")
@dataclasses.dataclass(frozen=True)
class FluxPipeline(FolderPipeline):
    """Black Forest Labs 2024: T5's tokens, padding and all, and CLIP's pooled vector.

    FLUX.1-dev was distilled from classifier-free guidance, whose scale its network is told: a
    number given as guidance is that. FLUX.1-schnell is told none. Beside either, a `Guidance`
    asks the network twice, as true_cfg_scale of the original does.

    Attributes:
        max_sequence_length: T5's tokens. FLUX.1-schnell was trained on 256.
    """

    even_times: ClassVar[bool] = True
    steps: ClassVar[int] = 28
    honoured: ClassVar[tuple[str, ...]] = (
        *("tokenizer", "text_encoder", "tokenizer_2", "text_encoder_2"),
    )
    latents_by: ClassVar[tuple[str, ...]] = ("shift_factor",)

    max_sequence_length: int = 512

    def __post_init__(self) -> None:
        check_length(self.max_sequence_length)

    def ask(self, model: Asked, prompts: Prompts, size: Size, negative: bool = False) -> Rows:
        """The tokens of prompts, their pooled vectors, and the scale that the network is told.

        Raises:
            UserError: a prompt is too long and the tokenizer strict, or no text encoder.
        """
        short, _ = encoded(model, prompts)
        long, mask = encoded(model, prompts, "_2", self.max_sequence_length)
        pooled = np.asarray(short.pooled)
        rows = {"tokens": np.asarray(long.tokens), "mask": np.ones_like(mask), "pooled": pooled}
        if self._is_told(model):
            rows["numbers"] = np.full((len(mask), 1), TOLD, np.float32)
        return rows

    def default_size(self, model: Asked) -> Size:
        """1024, where a latent is of 8 pixels."""
        side = SIDE * (model.parts["vae"].module.factor if "vae" in model.parts else 1)
        return side, side

    def steer(self, model: Asked, scale: float | None) -> tuple[Guidance | None, float | None]:
        """What the network is told.

        Raises:
            UserError: it is told nothing, as FLUX.1-schnell's.
        """
        if self._is_told(model):
            return None, scale
        if scale is None or scale == 1:
            return None, None
        raise UserError(
            f"guidance={scale:g}: this network is told no scale of guidance, as FLUX.1-schnell's. "
            "Leave it out, or ask the network twice by classifier_free(scale=…)."
        )

    def _is_told(self, model: Asked) -> bool:
        return bool(model.parts[self.network].module.guidance_embeds)
