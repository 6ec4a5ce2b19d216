"""Features of an encoder that others have released: CLIP's image tower, DINOv2."""

import dataclasses
import functools
from typing import ClassVar

import numpy as np

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import Values
from diffusion_jax.errors import UserError, within
from diffusion_jax.metrics.distance import Features
from diffusion_jax.metrics.features.base import Extractor, feature_maps
from diffusion_jax.published.encoder import ReleasedEncoder, read_encoder

TEXT = "text"


@feature_maps.register("released")
@dataclasses.dataclass(frozen=True)
class ReleasedFeatures:
    """What a released encoder makes of a picture as a whole.

    Pictures are brought to the encoder's size and normalised as its folder says. With DINOv2 the
    Fréchet distance of these is FD-DINOv2, and with CLIP the kernel distance is close to CMMD.

    Attributes:
        path: of a folder of CLIP or DINOv2, or of a file of its authors, see `dj.read_encoder`.
        batch: pictures at once.

    Source: Stein et al. 2023, Exposing flaws of generative model evaluation metrics,
    arXiv:2306.04675; Oquab et al. 2023 (DINOv2); Radford et al. 2021 (CLIP).
    """

    formula: ClassVar[str] = "f = the encoder's pooled output"

    path: str = ""
    batch: int = 32

    pictures_only: ClassVar[bool] = True

    def __post_init__(self) -> None:
        within(self, 1, 4096, "batch")

    def dim(self, data: Dataset) -> int:
        return int(self._features(np.zeros((1, 8, 8, 3), np.uint8)).shape[1])

    def fit(self, data: Dataset) -> Extractor:
        return self._features

    def _features(self, pictures: Values) -> Features:
        colours, encoder = in_colours(pictures), encoder_at(self.path, "pictures")
        chunks = np.split(colours, range(self.batch, len(colours), self.batch))
        found = [np.asarray(encoder.pictures(list(chunk)).pooled) for chunk in chunks]
        return np.concatenate(found).astype(np.float64)


@functools.lru_cache(maxsize=2)
def encoder_at(path: str, half: str = "") -> ReleasedEncoder:
    """An encoder, or the half of CLIP that is needed, read once.

    Raises:
        UserError: there is none, or it does not read pictures.
    """
    if not path:
        raise UserError("Give path=, of a folder of CLIP or DINOv2, to look at pictures with it.")
    whole = read_encoder(path)
    if whole.part.module.reads == TEXT:
        raise UserError(f"{path} reads words alone: give an encoder of pictures.")
    return read_encoder(path, half=half) if half and whole.part.module.reads == "both" else whole


def in_colours(pictures: Values) -> np.ndarray:
    """Pictures of three channels: grey three times, opacity over white."""
    colours, opacity = pictures, None
    if pictures.shape[-1] in (2, 4):
        colours, opacity = pictures[..., :-1], pictures[..., -1:] / 255
    if opacity is not None:
        colours = np.rint(255 + opacity * (colours - 255.0)).astype(np.uint8)
    return np.repeat(colours, 3, axis=-1) if colours.shape[-1] == 1 else colours
