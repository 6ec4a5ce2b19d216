"""How much memory the measuring of samples takes, known before anything is trained."""

import math
from collections.abc import Iterable

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.metrics.distance import TABLE
from diffusion_jax.metrics.features import CHUNK, COLUMNS, FITTED, FeatureMap, Principal
from diffusion_jax.metrics.frechet import MATRICES, Frechet
from diffusion_jax.metrics.real import CHUNK_VALUES, KEPT_VALUES, MEMORY, reference_count

FLOAT = 8  # bytes of a float64
COPIES = 4  # of a set of features, as float32 and float64, while it is made
TABLES = 6  # of kernels, or of a chunk of training pictures, at once


def metric_memory(data: Dataset, count: int, metrics: Iterable[object]) -> int:
    """The most bytes that measuring takes beside the samples themselves: an upper bound.

    Features of the samples of one arm, by one metric, and of up to 1,000 test pictures are held at
    once, those of training pictures where they are few, and pictures as bytes:

        8 (4 n d + 3 m Σd + Σ min(f d, KEPT)) + V (2 n + m) + ...

    for V values of a picture, d features, n samples, m test pictures and f training pictures; the
    rest are chunks and tables of bounded size, what components are taken from, and the covariances
    of Fréchet distances.

    Args:
        data: gives the pictures.
        count: of samples of an arm.
        metrics: that they are measured by, members of `metrics.metrics`.
    """
    values, reference = math.prod(data.shape), reference_count(data)
    maps: dict[FeatureMap, int] = {}
    covariances = 0
    for metric in metrics:
        features = getattr(metric, "features", None)
        if isinstance(features, FeatureMap):
            maps[features] = features.dim(data)
            if isinstance(metric, Frechet):
                covariances = max(covariances, FLOAT * MATRICES * maps[features] ** 2)
    trained = min(MEMORY, len(data.train))
    kept = sum(n * trained for n in maps.values() if n * trained <= KEPT_VALUES)
    widest = max(maps.values(), default=0)
    held = FLOAT * (COPIES * count * widest + 3 * reference * sum(maps.values()) + kept)
    pictures = values * (2 * count + reference)
    chunks = FLOAT * COPIES * CHUNK * values
    tables = FLOAT * TABLES * max(TABLE, CHUNK_VALUES, values, count)
    fitted = max(
        (_fitting(data, values) for each in maps if isinstance(each, Principal)), default=0
    )
    return held + pictures + chunks + tables + fitted + covariances


def _fitting(data: Dataset, values: int) -> int:
    """Of finding principal components."""
    used = min(FITTED, len(data.train))
    return 2 * values * used + FLOAT * (4 * min(used, values) ** 2 + 3 * used * COLUMNS)
