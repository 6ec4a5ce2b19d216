"""Principal components of pixels as features."""

import dataclasses
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Shaped
from scipy import linalg

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import Values, take, values_of
from diffusion_jax.errors import within
from diffusion_jax.metrics.distance import Features, features
from diffusion_jax.metrics.features.base import CHUNK, Extractor, feature_maps, values
from diffusion_jax.metrics.measurement import NotMeasured

FITTED = 2000  # training pictures that principal components are taken from
COLUMNS = 2048  # values of each picture looked at at once, while components are sought
RANK = 1e-10  # components with less than this share of the largest variance have none


@feature_maps.register("principal")
@dataclasses.dataclass(frozen=True)
class Principal:
    """The first principal components of the pixels of 2,000 training pictures.

    f = V^T (x - mean), in units of pixel values; V has the leading eigenvectors of the covariance.
    Large forms and colours are seen, fine detail is not, and there are few enough numbers for a
    covariance of some hundred samples.

    Attributes:
        count: of components; fewer where pictures have fewer, or where fewer differences are.

    Source: Pearson 1901; Hotelling 1933.
    """

    formula: ClassVar[str] = "f = Vᵀ(x − μ), V the leading eigenvectors of the covariance"

    count: int = 16

    def __post_init__(self) -> None:
        within(self, 1, float("inf"), "count")

    def dim(self, data: Dataset) -> int:
        return min(self.count, values(data), max(min(FITTED, len(data.train)) - 1, 0))

    def fit(self, data: Dataset) -> Extractor:
        pictures = values_of(take(data.train, range(min(FITTED, len(data.train)))))
        mean, axes = _principal(pictures.reshape(len(pictures), -1), self.dim(data))
        if not axes.shape[1]:
            raise NotMeasured("training pictures that are all the same have no principal component")

        def extract(pictures: Values) -> Features:
            chunks = np.split(pictures, range(CHUNK, len(pictures), CHUNK))
            return np.concatenate([(features(chunk) - mean) @ axes for chunk in chunks])

        return extract


def _principal(
    pictures: Shaped[np.ndarray, "n values"], count: int
) -> tuple[Float[np.ndarray, "values"], Float[np.ndarray, "values axes"]]:
    """Mean, and the directions of most variance; fewer than `count` if the others have none.

    The smaller of two matrices that have the same eigenvalues is decomposed, that of pixels or
    that of pictures, and it is made pixels by pixels, so that memory is bounded by it and by the
    pictures' bytes.
    """
    n, size = pictures.shape
    if not count:
        return np.zeros(size), np.zeros((size, 0))
    blocks = [slice(start, start + COLUMNS) for start in range(0, size, COLUMNS)]

    def centred(block: slice) -> Float[np.ndarray, "n _"]:
        x = features(pictures[:, block])
        return x - x.mean(axis=0)

    mean = np.concatenate([features(pictures[:, block]).mean(axis=0) for block in blocks])
    if size <= n:
        x = np.concatenate([centred(block) for block in blocks], axis=1)
        matrix = x.T @ x
    else:
        matrix = np.zeros((n, n))
        for block in blocks:
            x = centred(block)
            matrix += x @ x.T
    leading = (len(matrix) - count, len(matrix) - 1)
    found, vectors = linalg.eigh(matrix, subset_by_index=leading)
    kept = found > RANK * max(found[-1], 0)
    squares, vectors = found[kept][::-1], vectors[:, kept][:, ::-1]
    if size <= n:
        return mean, vectors
    lengths = np.sqrt(squares)
    return mean, np.concatenate([centred(block).T @ vectors / lengths for block in blocks])
