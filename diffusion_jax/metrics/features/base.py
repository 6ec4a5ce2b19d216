"""What features of pictures are: vectors, made for a data set from its training pictures alone."""

import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import Values
from diffusion_jax.metrics.distance import Features
from diffusion_jax.registry import Registry

Extractor = Callable[[Values], Features]

CHUNK = 256  # pictures looked at at once


@runtime_checkable
class FeatureMap(Protocol):
    """A kind of features, made for a data set from its training pictures alone.

    One with `pictures_only = True` cannot look at vectors.
    """

    def dim(self, data: Dataset) -> int:
        """How many features a picture has; fewer where training pictures do not differ so much."""
        ...

    def fit(self, data: Dataset) -> Extractor:
        """What turns pictures, or vectors, into (count, dim) float64."""
        ...


feature_maps: Registry[FeatureMap] = Registry("features", FeatureMap)


def values(data: Dataset) -> int:
    """How many values a picture has."""
    return math.prod(data.shape)
