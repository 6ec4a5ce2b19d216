"""Whether pictures show what was asked for, as CLIP sees it."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from diffusion_jax.errors import within
from diffusion_jax.metrics.base import metrics
from diffusion_jax.metrics.features.released import encoder_at, in_colours
from diffusion_jax.metrics.measurement import Measured, mean
from diffusion_jax.metrics.real import Pictures, Real

BOTH = "both"


@metrics.register("clip_score")
@dataclasses.dataclass(frozen=True)
class CLIPScore:
    """How alike pictures and their captions are to CLIP: 100 max(cos(f(x), g(c)), 0), on average.

    Attributes:
        path: of a folder of CLIP (CLIPModel) with its tokenizer, see `dj.read_encoder`.
        batch: pictures at once.

    Source: Hessel et al. 2021, CLIPScore, arXiv:2104.08718, eq. 1, with the factor 100 that has
    become usual where they have 2.5; without their prefix "A photo depicts".
    """

    formula: ClassVar[str] = "mean of 100 max(cos(f(x), g(c)), 0)"
    unit: ClassVar[str] = ""
    lower_is_better: ClassVar[bool] = False

    path: str = ""
    batch: int = 32

    def __post_init__(self) -> None:
        within(self, 1, 4096, "batch")

    def needs(self, count: int, real: Real) -> str | None:
        if not real.data.has_pictures:
            return f"CLIP sees pictures, and the data set has {real.data.form}"
        if count < 2:
            return f"2 samples are needed, and there are {count}"
        if not self.path:
            return "it needs path=, of a folder of CLIP"
        reads = encoder_at(self.path).part.module.reads
        return None if reads == BOTH else f"{self.path} reads {reads} alone, not captions too"

    def __call__(self, pictures: Pictures, captions: Sequence[str], real: Real) -> Measured:
        encoder = encoder_at(self.path)
        found = []
        for start in range(0, len(pictures), self.batch):
            chunk = slice(start, start + self.batch)
            seen = np.asarray(encoder.pictures(list(in_colours(pictures[chunk]))).pooled)
            said = np.asarray(encoder.text(list(captions[chunk])).pooled)
            found.append(100 * np.maximum(_cosines(seen, said), 0))
        return mean(np.concatenate(found).astype(np.float64))


def _cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    return np.asarray((one * other).sum(-1) / lengths)
