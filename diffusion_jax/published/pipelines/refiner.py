"""SDXL's refiner: a U-Net on latents that draws the last steps of a picture."""

import dataclasses
from typing import ClassVar

import numpy as np

from diffusion_jax.errors import UserError
from diffusion_jax.networks.conditioners.base import Rows
from diffusion_jax.published.pipelines.base import Asked, Prompts, Size, pipelines
from diffusion_jax.published.pipelines.stable_diffusion import (
    SIZES,
    ZEROS,
    StableDiffusionXLPipeline,
)

SCORED = "requires_aesthetics_score"


@pipelines.register("StableDiffusionXLImg2ImgPipeline")
@dataclasses.dataclass(frozen=True)
class RefinerPipeline(StableDiffusionXLPipeline):
    """Podell et al. 2023, section 2.5: the second of SDXL's encoders, and an aesthetic score.

    It is told the score in place of the picture's size, if its model_index.json says so; that of
    what guidance leads away from is lower. Pictures are refined by `sample(image=…, strength=0.3)`.

    Attributes:
        aesthetic_score: that is asked for.
        negative_aesthetic_score: that guidance leads away from.
    """

    honoured: ClassVar[tuple[str, ...]] = ("tokenizer_2", "text_encoder_2", ZEROS, SCORED)
    negative_numbers: ClassVar[bool] = True

    aesthetic_score: float = 6.0
    negative_aesthetic_score: float = 2.5

    def ask(self, model: Asked, prompts: Prompts, size: Size, negative: bool = False) -> Rows:
        """The tokens of prompts, their pooled vectors, sizes and scores.

        Raises:
            UserError: a prompt is too long and the tokenizer strict, a layer that is not there, or
                a score for a model that is told none.
        """
        rows = super().ask(model, prompts, size, negative)
        if model.settings.get(SCORED):
            score = self.negative_aesthetic_score if negative else self.aesthetic_score
            told = np.tile(np.array([*size, 0, 0, score], np.float32), (len(rows["tokens"]), 1))
            rows["numbers"] = np.concatenate([told, rows["numbers"][:, SIZES:]], axis=1)
        elif self != dataclasses.replace(RefinerPipeline(), clip_skip=self.clip_skip):
            raise UserError(f"This model is told no aesthetic score: it has no {SCORED}.")
        return rows
