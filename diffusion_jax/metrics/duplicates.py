"""Training pictures that come more than once: the same bytes, saved again, or mirrored.

Pictures are read in chunks. Kept of each are a digest and the means over 8 × 8 blocks, of which
distances are never greater than those of the pictures; so whatever is too far apart by them, or by
their mean alone, is not compared. What is left is compared pixel by pixel.
"""

import dataclasses
import functools
import hashlib
import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import Values, take, values_of
from diffusion_jax.metrics.features.block_means import BYTE, BlockMeans
from diffusion_jax.metrics.neighbours import ALIKE
from diffusion_jax.metrics.real import CHUNK_VALUES
from diffusion_jax.runs.progress import Advance

COARSE = BlockMeans(side=8)
ROWS = 256  # pictures compared with earlier ones at a time
DIGEST = 16  # bytes


@dataclasses.dataclass(frozen=True)
class TrainingDuplicates:
    """Which training pictures are one picture.

    Attributes:
        first: (n,) index of the first picture that has a picture's bytes, or its mirror image's.
        group: (n,) index of the picture that stands for all within `ALIKE` of it, root mean
            square over the values of bytes, mirrored or not; its own where it stands for itself.
    """

    first: Int[np.ndarray, "n"]
    group: Int[np.ndarray, "n"]

    @functools.cached_property
    def unique(self) -> Int[np.ndarray, "_"]:
        """Indices of pictures with bytes of their own, group by group, in order of the groups."""
        found = np.unique(self.first)
        return found[np.argsort(self.group[found], kind="stable")]

    @functools.cached_property
    def groups(self) -> Int[np.ndarray, "_"]:
        """Indices of the pictures that stand for a group, rising."""
        return np.unique(self.group)

    @functools.cached_property
    def times(self) -> dict[int, int]:
        """How often the picture of each group is there, of those that come more than once."""
        found, counts = np.unique(self.group, return_counts=True)
        several = counts > 1
        return dict(zip(found[several].tolist(), counts[several].tolist(), strict=True))


def unheard(note: str, units: int = 1) -> None:
    """Tells nobody how far the work is."""


def find(data: Dataset, advance: Advance = unheard) -> TrainingDuplicates:
    """The duplicates among all training pictures of a data set.

    Memory beyond a chunk is some three kilobytes for each RGB picture, whatever its size.

    Args:
        data: of pictures.
        advance: is told of each chunk that has been read.
    """
    digests, coarse = _described(data, advance)
    _, index, inverse = np.unique(digests, return_index=True, return_inverse=True)
    leads = _near(data, index, coarse[index])
    return TrainingDuplicates(index[inverse], index[leads][inverse])


def chunk_size(data: Dataset) -> int:
    """How many pictures are read at once."""
    return max(CHUNK_VALUES // math.prod(data.shape), 1)


def chunks(data: Dataset, rows: Int[np.ndarray, "n"]) -> Iterator[Values]:
    """Some training pictures, chunk by chunk."""
    size = chunk_size(data)
    for start in range(0, len(rows), size):
        yield values_of(take(data.train, rows[start : start + size].tolist()))


def mirrored(pictures: Values) -> Values:
    """Pictures with left and right exchanged."""
    return pictures[:, :, ::-1]


def _described(data: Dataset, advance: Advance) -> tuple[np.ndarray, Float[np.ndarray, "n dim"]]:
    """A digest of each picture, and its coarse means, whose distances are root mean squares."""
    extract, scale = COARSE.fit(data), BYTE / math.prod(data.shape) ** 0.5
    digests, coarse = [], []
    for pictures in chunks(data, np.arange(len(data.train))):
        pairs = zip(pictures, mirrored(pictures), strict=True)
        digests.append(np.array([min(_digest(one), _digest(other)) for one, other in pairs]))
        coarse.append((scale * extract(pictures)).astype(np.float32))
        advance("", len(pictures))
    return np.concatenate(digests), np.concatenate(coarse)


def _digest(picture: np.ndarray) -> bytes:
    content = np.ascontiguousarray(picture).data
    return hashlib.blake2b(content, digest_size=DIGEST).hexdigest().encode()


def _near(
    data: Dataset, index: Int[np.ndarray, "n"], coarse: Float[np.ndarray, "n dim"]
) -> Int[np.ndarray, "n"]:
    """For each of some pictures the row of the one that stands for it.

    They are gone through in order of their mean brightness, which is the same of mirror images;
    each joins the nearest earlier one that stands for itself and is alike, or stands for itself.
    """
    brightness = _brightness(data, coarse)
    order = np.argsort(brightness, kind="stable")
    leads, standing = np.arange(len(index)), np.zeros(0, int)
    size = min(ROWS, chunk_size(data))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        standing = standing[brightness[standing] >= brightness[rows[0]] - 1.01 * ALIKE]
        earlier = np.concatenate([standing, rows])
        close = _within(data, coarse[rows], coarse[earlier])
        needed = np.flatnonzero(close.sum(axis=0) > np.isin(earlier, rows))  # besides itself
        distance = np.full(close.shape, np.inf, np.float32)
        distance[:, needed] = _apart(data, index[rows], index[earlier[needed]])
        new = np.zeros(len(earlier), bool)
        new[: len(standing)] = True
        for i, row in enumerate(rows.tolist()):
            to = np.where(new, distance[i], np.inf)
            best = int(to.argmin())
            if to[best] <= ALIKE:
                leads[row] = earlier[best]
            else:
                new[len(standing) + i] = True
        standing = earlier[new]
    return leads


def _brightness(data: Dataset, coarse: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n"]:
    """The projection on the mean picture's direction: a difference is at most the distance."""
    white = COARSE.fit(data)(np.full((1, *data.shape), 255, np.uint8))[0]
    return np.asarray(coarse @ (white / np.linalg.norm(white)).astype(np.float32))


def _within(
    data: Dataset, ours: Float[np.ndarray, "n dim"], theirs: Float[np.ndarray, "m dim"]
) -> Bool[np.ndarray, "n m"]:
    """Which coarse means, as they are or mirrored, are not too far apart."""
    turned = ours.reshape(len(ours), *COARSE.grid(data))[:, :, ::-1].reshape(ours.shape)
    squares = np.minimum(_squares(ours, theirs), _squares(turned, theirs))
    return np.asarray(squares <= (1.01 * ALIKE) ** 2 + 1e-5 * (ours**2).sum(axis=1)[:, None])


def _apart(
    data: Dataset, rows: Int[np.ndarray, "n"], others: Int[np.ndarray, "m"]
) -> Float[np.ndarray, "n m"]:
    """Root mean squares of differences in bytes between pictures, as they are or mirrored."""
    if not len(others):
        return np.zeros((len(rows), 0), np.float32)
    found, size = [], chunk_size(data)
    ours = values_of(take(data.train, rows.tolist()))
    flat = [x.reshape(len(rows), -1).astype(np.float32) for x in (ours, mirrored(ours))]
    for start in range(0, len(others), size):
        theirs = values_of(take(data.train, others[start : start + size].tolist()))
        theirs = theirs.reshape(len(theirs), -1).astype(np.float32)
        squares = np.minimum(*(_squares(each, theirs) for each in flat))
        found.append(np.sqrt(np.maximum(squares, 0) / theirs.shape[1]))
    return np.concatenate(found, axis=1)


def _squares(a: Float[np.ndarray, "n dim"], b: Float[np.ndarray, "m dim"]) -> np.ndarray:
    """Squared distances; the sums of products of bytes keep five digits in float32."""
    return np.asarray((a**2).sum(axis=1)[:, None] - 2 * a @ b.T + (b**2).sum(axis=1))
