"""Stable Diffusion 1, 2 and XL: a U-Net on latents, asked for by CLIP's text encoders."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from diffusion_jax.networks.conditioners.base import Rows
from diffusion_jax.networks.encoders import Encoding
from diffusion_jax.published.pipelines.base import (
    Asked,
    FolderPipeline,
    Prompts,
    Size,
    pipelines,
)
from diffusion_jax.published.pipelines.captions import encoded, normalised, skipped
from diffusion_jax.sampling.guidance import Guidance

ZEROS = "force_zeros_for_empty_prompt"
SIZES = 6  # numbers that SDXL is told


@dataclasses.dataclass(frozen=True)
class TextToLatents(FolderPipeline):
    """What the members here share.

    A network that was distilled from classifier-free guidance is told its scale, as the last of
    its numbers: a number given as guidance is that. Beside it, a `Guidance` asks the network twice.

    Attributes:
        clip_skip: the last layers of text encoders that prompts leave out; negative prompts do not.
    """

    network: ClassVar[str] = "unet"
    steps: ClassVar[int] = 50

    clip_skip: int = 0

    def _layer(self, encoding: Encoding, last: int, negative: bool) -> int:
        """Which of the hidden states, from behind: 1 is the last."""
        return skipped(encoding, last, 0 if negative else self.clip_skip)

    def _with_scale(self, model: Asked, rows: Rows) -> Rows:
        """With the scale of guidance that the original tells the network, if it does."""
        if not self._is_told(model):
            return rows
        count = len(rows["tokens"])
        scale = np.full((count, 1), self.guidance, np.float32)
        before = rows.get("numbers", np.zeros((count, 0), np.float32))
        return rows | {"numbers": np.concatenate([before, scale], axis=1)}

    def steer(self, model: Asked, scale: float | None) -> tuple[Guidance | None, float | None]:
        """Classifier-free guidance, or what the network is told."""
        if self._is_told(model):
            return None, scale
        return super().steer(model, scale)

    def _is_told(self, model: Asked) -> bool:
        return bool(getattr(model.parts[self.network].module, "guidance_embeds", False))


@pipelines.register("StableDiffusionPipeline")
@dataclasses.dataclass(frozen=True)
class StableDiffusionPipeline(TextToLatents):
    """Rombach et al. 2022: the last layer of a CLIP text encoder, padding and all."""

    guidance: ClassVar[float] = 7.5
    honoured: ClassVar[tuple[str, ...]] = ("tokenizer", "text_encoder")
    # As the original mends files of before 2023.
    settled: ClassVar[Mapping[str, Any]] = {"steps_offset": 1, "clip_sample": False}

    def ask(self, model: Asked, prompts: Prompts, size: Size, negative: bool = False) -> Rows:
        """The tokens of prompts.

        Raises:
            UserError: a prompt is too long and the tokenizer strict, or a layer that is not there.
        """
        found, mask = encoded(model, prompts)
        layer, tokens = self._layer(found, 1, negative), found.tokens
        if layer > 1:
            part = model.parts["text_encoder"]
            tokens = normalised(part.module, part.params, found.hidden[-layer])
        nothing = np.zeros((len(mask), 0), np.float32)
        rows = {"tokens": np.asarray(tokens), "mask": np.ones_like(mask), "pooled": nothing}
        return self._with_scale(model, rows)


@pipelines.register("LatentConsistencyModelPipeline")
@dataclasses.dataclass(frozen=True)
class LatentConsistencyPipeline(StableDiffusionPipeline):
    """Luo et al. 2023 (LCM): Stable Diffusion 1 distilled to go to the data at once."""

    steps: ClassVar[int] = 4
    guidance: ClassVar[float] = 8.5
    settled: ClassVar[Mapping[str, Any]] = {}


@pipelines.register("StableDiffusionXLPipeline")
@dataclasses.dataclass(frozen=True)
class StableDiffusionXLPipeline(TextToLatents):
    """Podell et al. 2023: the layers before the last of two encoders, side by side.

    The network is also told the second's pooled vector and six numbers: the size that the picture
    had before it was cut, where it was cut, and its size.
    """

    guidance: ClassVar[float] = 5.0
    honoured: ClassVar[tuple[str, ...]] = (
        *("tokenizer", "text_encoder", "tokenizer_2", "text_encoder_2"),
        ZEROS,
    )
    latents_by: ClassVar[tuple[str, ...]] = ("latents_mean", "latents_std")

    def ask(self, model: Asked, prompts: Prompts, size: Size, negative: bool = False) -> Rows:
        """The tokens of prompts, their pooled vectors, and sizes.

        Raises:
            UserError: a prompt is too long and the tokenizer strict, or a layer that is not there.
        """
        suffixes = [each for each in ("", "_2") if f"text_encoder{each}" in model.parts]
        found = [encoded(model, prompts, suffix)[0] for suffix in suffixes]
        tokens = np.concatenate(
            [np.asarray(each.hidden[-self._layer(each, 2, negative)]) for each in found], axis=-1
        )
        pooled = np.array(found[-1].pooled)
        if model.settings.get(ZEROS) and negative:
            nothing = np.array([prompt is None for prompt in prompts])
            tokens[nothing], pooled[nothing] = 0, 0
        numbers = np.tile(np.array([*size, 0, 0, *size], np.float32), (len(tokens), 1))
        mask = np.ones(tokens.shape[:2], bool)
        rows = {"tokens": tokens, "mask": mask, "pooled": pooled, "numbers": numbers}
        return self._with_scale(model, rows)
