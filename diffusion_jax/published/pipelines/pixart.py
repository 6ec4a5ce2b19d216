"""PixArt: a transformer on latents, asked for by T5's encoder."""

from typing import ClassVar

import numpy as np

from diffusion_jax.networks.conditioners.base import Rows
from diffusion_jax.published.pipelines.base import (
    Asked,
    Parts,
    Prompts,
    Size,
    latent_shape,
    pipelines,
    trained_size,
)
from diffusion_jax.published.pipelines.captions import encoded


class PixArtPipeline:
    """What the members here share.

    Attributes:
        length: of all prompts, in tokens.
        told_sizes: the sample_size of networks that are told the size of the picture; 0 for none.
    """

    network: ClassVar[str] = "transformer"
    even_times: ClassVar[bool] = False
    steps: ClassVar[int] = 20
    guidance: ClassVar[float] = 4.5
    length: ClassVar[int]
    told_sizes: ClassVar[int] = 0

    def ask(self, model: Asked, prompts: Prompts, size: Size, negative: bool = False) -> Rows:
        """The tokens of prompts, in lower case; alpha's largest model is told the picture's size.

        Raises:
            UserError: a prompt is too long and the tokenizer strict.
        """
        lower = [(prompt or "").lower().strip() for prompt in prompts]
        found, mask = encoded(model, lower, length=self.length, masked=True)
        nothing = np.zeros((len(mask), 0), np.float32)
        rows = {"tokens": np.asarray(found.tokens), "mask": mask, "pooled": nothing}
        if model.parts[self.network].configuration.get("sample_size", 128) == self.told_sizes:
            height, width = size
            told = np.array([height, width, height / width], np.float32)
            rows["numbers"] = np.tile(told, (len(mask), 1))
        return rows

    def shape(self, parts: Parts, size: Size) -> tuple[int, int, int]:
        return latent_shape(parts, size, self.network)

    def default_size(self, parts: Parts) -> Size:
        return trained_size(parts, self.network)


@pipelines.register("PixArtAlphaPipeline")
class PixArtAlphaPipeline(PixArtPipeline):
    """Chen et al. 2023 (PixArt-alpha): prompts of 120 tokens."""

    length: ClassVar[int] = 120
    told_sizes: ClassVar[int] = 128


@pipelines.register("PixArtSigmaPipeline")
class PixArtSigmaPipeline(PixArtPipeline):
    """Chen et al. 2024 (PixArt-Sigma): prompts of 300 tokens."""

    length: ClassVar[int] = 300
