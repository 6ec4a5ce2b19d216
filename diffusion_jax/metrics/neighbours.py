"""Nearest training pictures: are samples closer to them than unseen real pictures are?

For a picture x let d(x) be the distance to its nearest training picture. A model that draws new
pictures has samples whose d is distributed as that of held-out real pictures; a model that repeats
what it saw has samples with smaller d. Copies are samples whose nearest training picture is less
than a third as far as the nearest *other* one. Training pictures whose bytes differ by at most
`ALIKE`, root mean square, are not others of each other: a set that holds a picture twice, or saved
again with losses, would hide copies of it.

Training pictures come chunk by chunk, so that memory is that of the points and one chunk.

Source: Meehan, Chaudhuri, Dasgupta 2020, "A non-parametric test to detect data-copying in
generative models" (comparison with held-out data); Yoon et al. 2023, "Diffusion probabilistic
models generalize when they fail to memorize", section 3 (the ratio of one third).
"""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

from diffusion_jax.data.example import Values
from diffusion_jax.metrics.distance import Features

COPY = 1 / 3
ALIKE = 4.0  # values of a byte
ROWS = 256  # points compared with a chunk at a time, to bound memory

Chunk = tuple[Features, Values]  # features of some training pictures, and the pictures


@dataclasses.dataclass(frozen=True)
class Nearest:
    """The nearest training picture of each of n points.

    Attributes:
        distance: (n,) Euclidean, of features; inf where there is none.
        pictures: the nearest, as data sets keep them.
    """

    distance: Float[np.ndarray, "n"]
    pictures: Values


def nearest(points: Features, train: Iterable[Chunk]) -> Nearest:
    """The nearest training picture of each point.

    Args:
        points: (n, dim).
        train: features and pictures, chunk by chunk, one or more.

    >>> bytes_ = np.uint8([[[[1]]], [[[2]]], [[[3]]]])
    >>> found = nearest(np.array([[0.0]]), [(np.array([[5.0], [1.0], [-3.0]]), bytes_)])
    >>> found.distance, found.pictures.ravel()
    (array([1.]), array([2], dtype=uint8))
    """
    middle, distance, kept = points.mean(axis=0), np.full(len(points), np.inf), None
    for features, pictures in train:
        if kept is None:
            kept = np.zeros((len(points), *pictures.shape[1:]), pictures.dtype)
        theirs = _Centred.of(features, middle)
        for rows in _blocks(len(points)):
            found, index = theirs.least(points[rows] - middle)
            closer = found < distance[rows]
            distance[rows][closer] = found[closer]
            kept[rows][closer] = pictures[index[closer]]
    assert kept is not None, "there is a chunk"
    return Nearest(distance, kept)


def nearest_other(
    points: Features, first: Nearest, train: Iterable[Chunk]
) -> Float[np.ndarray, "n"]:
    """Distances to the nearest training picture that is not the nearest one over again.

    Args:
        points: (n, dim).
        first: their nearest.
        train: as `nearest` had it.

    Returns:
        (n,) Euclidean, of features; inf where all training pictures are alike.
    """
    middle, distance = points.mean(axis=0), np.full(len(points), np.inf)
    for features, pictures in train:
        theirs = _Centred.of(features, middle)
        for rows in _blocks(len(points)):
            alike = _alike(first.pictures[rows], pictures)
            found, _ = theirs.least(points[rows] - middle, alike)
            distance[rows] = np.minimum(distance[rows], found)
    return distance


def all_alike(chunks: Iterable[Values]) -> bool:
    """Whether no picture is another one than the first."""
    first = None
    for pictures in chunks:
        first = pictures[:1] if first is None else first
        if not _alike(first, pictures).all():
            return False
    return True


def _blocks(count: int) -> Iterator[slice]:
    return (slice(start, start + ROWS) for start in range(0, count, ROWS))


@dataclasses.dataclass(frozen=True)
class _Centred:
    """Features, moved to the middle of the points, and their squares.

    Squares of large numbers would lose the digits of small distances.
    """

    moved: Float[np.ndarray, "m dim"]
    squares: Float[np.ndarray, "m"]

    @staticmethod
    def of(features: Float[np.ndarray, "m dim"], middle: Float[np.ndarray, "dim"]) -> "_Centred":
        moved = features - middle
        return _Centred(moved, np.einsum("md,md->m", moved, moved))

    def least(
        self,
        points: Float[np.ndarray, "n dim"],
        without: Bool[np.ndarray, "n m"] | None = None,
    ) -> tuple[Float[np.ndarray, "n"], Int[np.ndarray, "n"]]:
        """The distance of each point to the nearest row, and its index; inf if all are left out."""
        table = self.squares - 2 * points @ self.moved.T
        if without is not None:
            table[without] = np.inf
        index = table.argmin(axis=1)
        # Again from the differences, for the digits' sake.
        found = np.linalg.norm(points - self.moved[index], axis=1)
        none = np.isinf(table[np.arange(len(points)), index])
        return np.where(none, np.inf, found), index


def _alike(first: Values, second: Values) -> Bool[np.ndarray, "n m"]:
    """Which pictures differ by no more than `ALIKE`, root mean square."""
    a, b = (each.reshape(len(each), -1).astype(np.float32) for each in (first, second))
    # Products of bytes are whole numbers; float32 carries their sum within a part in 10^5.
    squares = (a**2).sum(axis=1)[:, None] - 2 * a @ b.T + (b**2).sum(axis=1)
    return np.asarray(squares <= ALIKE**2 * a.shape[1])
