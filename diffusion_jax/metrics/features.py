"""What distances between sets of pictures look at: vectors made of pictures.

Each is stated in full: none needs weights from elsewhere, and all are the same on any machine.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped
from scipy import linalg

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import Values, take, to_unit, values_of
from diffusion_jax.errors import within
from diffusion_jax.metrics.distance import Features, features
from diffusion_jax.metrics.measurement import NotMeasured
from diffusion_jax.registry import Registry

Extractor = Callable[[Values], Features]

FITTED = 2000  # training pictures that principal components are taken from
CHUNK = 256  # pictures looked at at once
COLUMNS = 2048  # values of each picture looked at at once, while components are sought
RANK = 1e-10  # components with less than this share of the largest variance have none


@runtime_checkable
class FeatureMap(Protocol):
    """A kind of features, made for a data set from its training pictures alone.

    One with `pictures_only = True` cannot look at vectors.
    """

    def dim(self, data: Dataset) -> int:
        """How many features a picture has; fewer where training pictures do not differ so much."""
        ...

    def fit(self, data: Dataset) -> Extractor:
        """What turns (count, height, width, channels) bytes into (count, dim) float64."""
        ...


feature_maps: Registry[FeatureMap] = Registry("features", FeatureMap)


@feature_maps.register("pixels")
@dataclasses.dataclass(frozen=True)
class Pixels:
    """The values of the pixels, in [-1, 1].

    >>> from diffusion_jax.data.dataset import datasets
    >>> extract = Pixels().fit(datasets.make("shapes"))
    >>> extract(np.array([[[[0], [255]]]], np.uint8))
    array([[-1.,  1.]])
    """

    def dim(self, data: Dataset) -> int:
        return _values(data)

    def fit(self, data: Dataset) -> Extractor:
        return features


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

    count: int = 16

    def __post_init__(self) -> None:
        within(self, 1, float("inf"), "count")

    def dim(self, data: Dataset) -> int:
        return min(self.count, _values(data), max(min(FITTED, len(data.train)) - 1, 0))

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
    n, values = pictures.shape
    if not count:
        return np.zeros(values), np.zeros((values, 0))
    blocks = [slice(start, start + COLUMNS) for start in range(0, values, COLUMNS)]

    def centred(block: slice) -> Float[np.ndarray, "n _"]:
        x = features(pictures[:, block])
        return x - x.mean(axis=0)

    mean = np.concatenate([features(pictures[:, block]).mean(axis=0) for block in blocks])
    if values <= n:
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
    if values <= n:
        return mean, vectors
    lengths = np.sqrt(squares)
    return mean, np.concatenate([centred(block).T @ vectors / lengths for block in blocks])


@feature_maps.register("random_convolutions")
@dataclasses.dataclass(frozen=True)
class RandomConvolutions:
    """Means over space of each layer of a convolutional network with random weights.

    Layer: h = max(0, W * h), 3 × 3, of every other pixel; W is normal, of variance 2/inputs. What
    is seen are textures, edges and colours, wherever they are, and nothing has been learned.

    Attributes:
        width: channels of a layer.
        layers: how many.
        seed: of the weights.

    Source: Naeem et al. 2020 (reliable fidelity and diversity metrics), section 4.3, for embeddings
    with random weights; He et al. 2015 for their variance.
    """

    width: int = 32
    layers: int = 2
    seed: int = 0

    pictures_only: ClassVar[bool] = True

    def __post_init__(self) -> None:
        within(self, 1, 4096, "width")
        within(self, 1, 16, "layers")  # each halves the picture
        within(self, 0, float("inf"), "seed")

    def weights(self, channels: int) -> list[Float[np.ndarray, "3 3 inputs outputs"]]:
        """Of each layer."""
        rng = np.random.default_rng(self.seed)
        inputs = [channels, *[self.width] * (self.layers - 1)]
        return [rng.normal(size=(3, 3, n, self.width)) * np.sqrt(2 / (9 * n)) for n in inputs]

    def dim(self, data: Dataset) -> int:
        return self.width * self.layers

    def fit(self, data: Dataset) -> Extractor:
        weights = [jnp.asarray(w, jnp.float32) for w in self.weights(data.shape[-1])]

        def extract(pictures: Values) -> Features:
            chunks = np.split(pictures, range(CHUNK, len(pictures), CHUNK))
            found = [_layer_means(weights, jnp.asarray(to_unit(chunk))) for chunk in chunks]
            return np.concatenate(found).astype(np.float64)

        return extract


def _values(data: Dataset) -> int:
    """Of a picture."""
    return math.prod(data.shape)


@jax.jit
def _layer_means(
    weights: list[Float[Array, "3 3 _ _"]], x: Float[Array, "batch height width channels"]
) -> Float[Array, "batch dim"]:
    means = []
    for w in weights:
        h = jax.lax.conv_general_dilated(
            x, w, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jax.nn.relu(h)
        means.append(jnp.mean(x, axis=(1, 2)))
    return jnp.concatenate(means, axis=1)
