"""Means over blocks of pixels as features."""

import dataclasses
import functools
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import Values
from diffusion_jax.errors import within
from diffusion_jax.metrics.distance import Features
from diffusion_jax.metrics.features.base import CHUNK, Extractor, feature_maps

BYTE = 127.5  # values of a byte to a unit


@feature_maps.register("block_means")
@dataclasses.dataclass(frozen=True)
class BlockMeans:
    """The means over the blocks of a grid laid on the picture, times the root of a block's pixels.

    f_b = sum_{i in b} x_i / sqrt|b|. Distances are never greater than those of the pixels, and the
    same where a block is a pixel. A picture's mirror image has the features of its own mirrored.

    Attributes:
        side: blocks along an edge, at most; one less where an odd number of pixels asks for it.
    """

    formula: ClassVar[str] = "f_b = Σ_{i∈b} x_i/√|b|, b the blocks of a grid"

    side: int = 32

    pictures_only: ClassVar[bool] = True

    def __post_init__(self) -> None:
        within(self, 1, 1024, "side")

    def grid(self, data: Dataset) -> tuple[int, int, int]:
        """Blocks down, blocks across, and channels."""
        height, width, channels = data.shape
        return len(borders(height, self.side)) - 1, len(borders(width, self.side)) - 1, channels

    def dim(self, data: Dataset) -> int:
        height, width, channels = self.grid(data)
        return height * width * channels

    def fit(self, data: Dataset) -> Extractor:
        return functools.partial(_means, side=self.side)


def borders(length: int, side: int) -> Int[np.ndarray, "_"]:
    """Where blocks of an edge begin, and its end; they are the same seen from the other end.

    >>> borders(6, 4), borders(5, 4)
    (array([0, 1, 3, 5, 6]), array([0, 1, 4, 5]))
    """
    count = min(side, length)
    count -= length % 2 and not count % 2  # no border can lie in the middle
    first = np.arange(count // 2 + 1) * length // count
    last = (length - first)[::-1]
    return np.concatenate([first, last if count % 2 else last[1:]])


def _means(pictures: Values, side: int) -> Features:
    chunks = np.split(pictures, range(CHUNK, len(pictures), CHUNK))
    return np.concatenate([_of_chunk(chunk, side) for chunk in chunks])


def _of_chunk(pictures: Values, side: int) -> Float[np.ndarray, "n dim"]:
    x = pictures.astype(np.float64) / BYTE - 1
    roots = []
    for axis in (1, 2):
        edges = borders(x.shape[axis], side)
        x = np.add.reduceat(x, edges[:-1], axis=axis)
        roots.append(np.sqrt(np.diff(edges)))
    return (x / np.outer(*roots)[:, :, None]).reshape(len(pictures), -1)
