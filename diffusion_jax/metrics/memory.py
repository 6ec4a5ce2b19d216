"""How much memory the measuring of samples takes, known before anything is trained."""

import math
from collections.abc import Iterable

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.metrics.distance import TABLE
from diffusion_jax.metrics.features import COLUMNS, FITTED, Principal
from diffusion_jax.metrics.frechet import MATRICES
from diffusion_jax.metrics.quality import Frechet
from diffusion_jax.metrics.real import CHUNK_VALUES, reference_count

FLOAT = 8  # bytes of a float64
COPIES = 4  # of a set of features, as float32 and float64, while it is made
TABLES = 6  # of kernels, or of a chunk of training pictures, at once


def metric_memory(data: Dataset, count: int, metrics: Iterable[object]) -> int:
    """The most bytes that measuring takes beside the samples themselves: an upper bound.

    Features of the samples of one arm and of up to 1,000 test pictures are held at once, training
    pictures a chunk at a time, whatever their number:

        8 V (4 n + 3 m) + 2 V f + ...

    for V values of a picture, n samples, m test pictures, and f training pictures that components
    are taken from; the rest are tables of bounded size, and the covariances of Fréchet distances.

    Args:
        data: gives the pictures.
        count: of samples of an arm.
        metrics: that they are measured by, members of `quality.metrics`.
    """
    values = math.prod(data.shape)
    held = FLOAT * values * (COPIES * count + 3 * reference_count(data))
    tables = FLOAT * TABLES * max(TABLE, CHUNK_VALUES, values, count)
    fitted, covariances = 0, 0
    for metric in metrics:
        features = getattr(metric, "features", None)
        if isinstance(features, Principal):
            used = min(FITTED, len(data.train))
            smaller = min(used, values)
            fitted = 2 * values * used + FLOAT * (4 * smaller**2 + 3 * used * COLUMNS)
        if features is not None and isinstance(metric, Frechet):
            covariances = max(covariances, FLOAT * MATRICES * features.dim(data) ** 2)
    return held + tables + fitted + covariances
