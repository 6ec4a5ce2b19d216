"""PixArt: a transformer on latents, asked for by T5's encoder."""

import dataclasses
from typing import ClassVar

import numpy as np

from diffusion_jax.networks.conditioners.base import Rows
from diffusion_jax.published.pipelines.base import (
    Asked,
    FolderPipeline,
    Prompts,
    Size,
    pipelines,
)
from diffusion_jax.published.pipelines.binning import Bins, bins, drawn_size
from diffusion_jax.published.pipelines.captions import check_length, encoded
from diffusion_jax.published.pipelines.cleaning import PIXART as CLEANING

# Heights and widths in sixteenths of the side of a square picture of the same area.
SIDES = (
    "8x32 8x29 9x28 9x27 9x26 10x25 10x24 11x23 11x22 11x21 12x21 12x20 13x19 13x18 14x18 14x17 "
    "15x17 15x16 16x16 16x15 17x15 17x14 18x14 18x13 19x13 20x12 21x12 22x11 23x11 24x10 25x10 "
    "27x9 32x8"
)
MORE_SIDES = "8x31 8x30 26x9 28x9 29x8 30x8 31x8"
LATENT = 8  # pixels of the original's autoencoder
BINS = {side: bins(SIDES, side * LATENT // 16) for side in (32, 64, 128)}
LARGEST = {256: bins(f"{SIDES} {MORE_SIDES}", 128)}  # of Sigma alone


@dataclasses.dataclass(frozen=True)
class PixArtPipeline(FolderPipeline):
    """What the members here share.

    Attributes:
        told_sizes: the sample_size of networks that are told the size of the picture; 0 for none.
        sizes: that pictures have, by the network's sample_size.
        use_resolution_binning: draw the nearest of these sizes, and fit the picture to the size
            that is asked for.
        clean_caption: leave out of prompts what captions of its training lacked, twice.
    """

    steps: ClassVar[int] = 20
    guidance: ClassVar[float] = 4.5
    honoured: ClassVar[tuple[str, ...]] = ("tokenizer", "text_encoder")
    told_sizes: ClassVar[int] = 0
    sizes: ClassVar[dict[int, Bins]] = BINS

    use_resolution_binning: bool = True
    max_sequence_length: int = 120
    clean_caption: bool = True

    def __post_init__(self) -> None:
        check_length(self.max_sequence_length)

    def ask(self, model: Asked, prompts: Prompts, size: Size, negative: bool = False) -> Rows:
        """The tokens of prompts, in lower case; alpha's largest model is told the picture's size.

        Raises:
            UserError: a prompt is too long and the tokenizer strict, or cannot be cleaned.
        """
        read = [self._read(prompt or "") for prompt in prompts]
        found, mask = encoded(model, read, length=self.max_sequence_length, masked=True)
        nothing = np.zeros((len(mask), 0), np.float32)
        rows = {"tokens": np.asarray(found.tokens), "mask": mask, "pooled": nothing}
        if self._side(model) == self.told_sizes:
            height, width = self._drawn(model, size)
            told = np.array([height, width, height / width], np.float32)
            rows["numbers"] = np.tile(told, (len(mask), 1))
        return rows

    def shape(self, model: Asked, size: Size) -> tuple[int, int, int]:
        """The latents of the size that is drawn."""
        return super().shape(model, self._drawn(model, size))

    def _read(self, prompt: str) -> str:
        return CLEANING(CLEANING(prompt)) if self.clean_caption else prompt.lower().strip()

    def _side(self, model: Asked) -> int:
        return int(model.parts[self.network].configuration.get("sample_size", 128))

    def _drawn(self, model: Asked, size: Size) -> Size:
        if not self.use_resolution_binning:
            return size
        return drawn_size(self.sizes, self._side(model), size, "sample_size")


@pipelines.register("PixArtAlphaPipeline")
@dataclasses.dataclass(frozen=True)
class PixArtAlphaPipeline(PixArtPipeline):
    """Chen et al. 2023 (PixArt-alpha): prompts of 120 tokens.

    Attributes:
        max_sequence_length: T5's tokens.
        others: as of a `PixArtPipeline`.
    """

    told_sizes: ClassVar[int] = 128


@pipelines.register("PixArtSigmaPipeline")
@dataclasses.dataclass(frozen=True)
class PixArtSigmaPipeline(PixArtPipeline):
    """Chen et al. 2024 (PixArt-Sigma): prompts of 300 tokens.

    Attributes:
        max_sequence_length: T5's tokens.
        others: as of a `PixArtPipeline`.
    """

    sizes: ClassVar[dict[int, Bins]] = BINS | LARGEST

    max_sequence_length: int = 300
