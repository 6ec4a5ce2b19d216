"""Stable Diffusion 3 and 3.5: a transformer on latents, asked for by two CLIPs and T5."""

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
from diffusion_jax.published.pipelines.captions import check_length, encoded, skipped

T5 = "text_encoder_3"


@pipelines.register("StableDiffusion3Pipeline")
@dataclasses.dataclass(frozen=True)
class StableDiffusion3Pipeline(FolderPipeline):
    """Esser et al. 2024: the layers before the last of two CLIPs, then T5's tokens.

    CLIP's features are put side by side, filled up with zeros to T5's, and stand before T5's
    tokens; their pooled vectors, side by side, are told to the network too. Padding is read as
    any word. Where a folder has no T5, its tokens are zeros.

    Attributes:
        clip_skip: the last layers of CLIP that prompts leave out; negative prompts do not.
        max_sequence_length: T5's tokens.
    """

    steps: ClassVar[int] = 28
    guidance: ClassVar[float] = 7.0
    honoured: ClassVar[tuple[str, ...]] = (
        *("tokenizer", "text_encoder", "tokenizer_2", "text_encoder_2", "tokenizer_3"),
        T5,
    )
    latents_by: ClassVar[tuple[str, ...]] = ("shift_factor",)

    clip_skip: int = 0
    max_sequence_length: int = 256

    def __post_init__(self) -> None:
        check_length(self.max_sequence_length)

    def ask(self, model: Asked, prompts: Prompts, size: Size, negative: bool = False) -> Rows:
        """The tokens of prompts, and their pooled vectors.

        Raises:
            UserError: a prompt is too long and the tokenizer strict, a layer that is not there,
                or no text encoder.
        """
        found = [encoded(model, prompts)[0]]
        length = model.tokenizers["tokenizer"].longest
        found.append(encoded(model, prompts, "_2", length)[0])
        skip = 0 if negative else self.clip_skip
        clip = np.concatenate(
            [np.asarray(each.hidden[-skipped(each, 2, skip)]) for each in found], axis=-1
        )
        long = self._long(model, prompts)
        fill = long.shape[-1] - clip.shape[-1]
        if fill < 0:
            raise UserError(
                f"CLIP's features are {clip.shape[-1]} together and T5's {long.shape[-1]}: this "
                "network reads them as rows of one width, T5's."
            )
        tokens = np.concatenate([np.pad(clip, ((0, 0), (0, 0), (0, fill))), long], axis=1)
        pooled = np.concatenate([np.asarray(each.pooled) for each in found], axis=-1)
        return {"tokens": tokens, "mask": np.ones(tokens.shape[:2], bool), "pooled": pooled}

    def _long(self, model: Asked, prompts: Prompts) -> np.ndarray:
        """T5's tokens, or zeros."""
        if T5 in model.parts:
            return np.asarray(encoded(model, prompts, "_3", self.max_sequence_length)[0].tokens)
        width = model.parts[self.network].configuration.get("joint_attention_dim", 4096)
        return np.zeros((len(prompts), self.max_sequence_length, width), np.float32)
