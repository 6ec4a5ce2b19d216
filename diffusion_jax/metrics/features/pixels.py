"""The pixels themselves as features."""

import dataclasses
from typing import ClassVar

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.metrics.distance import features
from diffusion_jax.metrics.features.base import Extractor, feature_maps, values


@feature_maps.register("pixels")
@dataclasses.dataclass(frozen=True)
class Pixels:
    """The values of the pixels, in [-1, 1].

    >>> import numpy as np
    >>> from diffusion_jax.data.dataset import datasets
    >>> extract = Pixels().fit(datasets.make("shapes"))
    >>> extract(np.array([[[[0], [255]]]], np.uint8))
    array([[-1.,  1.]])
    """

    formula: ClassVar[str] = "f = x"

    def dim(self, data: Dataset) -> int:
        return values(data)

    def fit(self, data: Dataset) -> Extractor:
        return features
