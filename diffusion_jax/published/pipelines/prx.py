"""PRX: a transformer on latents, asked for by T5Gemma's encoder."""

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
from diffusion_jax.published.pipelines.binning import bins, drawn_size
from diffusion_jax.published.pipelines.captions import encoded
from diffusion_jax.published.pipelines.cleaning import PRX as CLEANING
from diffusion_jax.published.pipelines.cleaning import lightly_cleaned

SIDE = 512  # of pictures, where the folder does not say
CELL = 32  # pixels, of which sides are multiples
SIDES = {
    256: "5x11 6x10 7x9 8x8 9x7 10x6 11x5",
    512: "11x22 12x21 12x20 13x19 14x18 15x17 16x16 17x15 18x14 19x13 20x12 21x12 22x11",
    1024: (
        "22x45 23x44 23x43 24x42 24x41 25x40 26x39 26x38 28x36 29x35 31x33 32x32 33x31 34x30 "
        "35x29 36x28 37x27 38x26 39x26 41x24 42x24 43x23 44x23 45x22"
    ),
}
BINS = {side: bins(sides, CELL, **{"5x11": "0.46"}) for side, sides in SIDES.items()}


@pipelines.register("PRXPipeline")
@dataclasses.dataclass(frozen=True)
class PRXPipeline(FolderPipeline):
    """Photoroom 2025: prompts are cleaned, and no token looks at padding.

    Attributes:
        use_resolution_binning: draw the nearest of the sizes that it was trained on, and fit the
            picture to the size that is asked for.
        tokenizer_max_length: tokens of a prompt; 0 is what the tokenizer says.
        skip_text_cleaning: mend the encoding of prompts alone, and leave nothing out.
    """

    unit_times: ClassVar[bool] = True
    steps: ClassVar[int] = 28
    guidance: ClassVar[float] = 4.0
    honoured: ClassVar[tuple[str, ...]] = ("tokenizer", "text_encoder", "default_sample_size")
    latents_by: ClassVar[tuple[str, ...]] = ("shift_factor",)

    use_resolution_binning: bool = True
    tokenizer_max_length: int = 0
    skip_text_cleaning: bool = False

    def __post_init__(self) -> None:
        if self.tokenizer_max_length < 0:
            raise UserError(
                f"tokenizer_max_length must be at least 0, not {self.tokenizer_max_length}."
            )

    def ask(self, model: Asked, prompts: Prompts, size: Size, negative: bool = False) -> Rows:
        """The tokens of prompts.

        Raises:
            UserError: a prompt is too long and the tokenizer strict, or cannot be cleaned.
        """
        clean = lightly_cleaned if self.skip_text_cleaning else CLEANING
        cleaned = [clean(prompt or "") for prompt in prompts]
        found, mask = encoded(model, cleaned, length=self.tokenizer_max_length or None, masked=True)
        nothing = np.zeros((len(mask), 0), np.float32)
        return {"tokens": np.asarray(found.tokens), "mask": mask, "pooled": nothing}

    def shape(self, model: Asked, size: Size) -> tuple[int, int, int]:
        """The latents of the size that is drawn.

        Raises:
            UserError: pictures of that size cannot be drawn.
        """
        if self.use_resolution_binning:
            side = self.default_size(model)[0]
            size = drawn_size(BINS, side, size, "default_sample_size")
        return super().shape(model, size)

    def default_size(self, model: Asked) -> Size:
        """A square of the folder's default_sample_size."""
        side = int(model.settings.get("default_sample_size") or SIDE)
        return side, side
