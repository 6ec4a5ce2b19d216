"""Pictures that are there more than once, or nearly."""

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float32, UInt8, UInt64

BITS = 64
BAND = 16  # bits; pictures whose hashes differ in no more than FAR agree in one band at least
FAR = BITS // BAND - 1
SIDE = 16  # of the small pictures that are compared
CLOSE = 6.0  # mean difference of these, from 0 to 255, of what counts as nearly the same


@dataclasses.dataclass(frozen=True)
class Seen:
    """What is kept of a picture to find it again.

    Attributes:
        digest: of its bytes.
        hash: of how brightness changes along its rows.
        small: it at 16 × 16, grey.
    """

    digest: bytes
    hash: int
    small: Float32[np.ndarray, "side side"]


@dataclasses.dataclass(frozen=True)
class Duplicates:
    """Groups of pictures, by their positions; two groups have none in common.

    Attributes:
        exact: of the same pixels.
        near: that are nearly the same, and not all of the same pixels.
    """

    exact: tuple[tuple[int, ...], ...]
    near: tuple[tuple[int, ...], ...]


def seen(picture: UInt8[np.ndarray, "height width channels"]) -> Seen:
    """What is kept of a picture.

    The hash has a bit for each of 8 × 8 places: whether it is darker than the place to its right
    (Krawetz 2013, "Kind of like that").
    """
    from PIL import Image

    grey = np.rint(picture[..., : 3 if picture.shape[-1] > 2 else 1].mean(-1)).astype(np.uint8)
    image = Image.fromarray(grey)
    steps = np.asarray(image.resize((9, 8), Image.Resampling.BOX), np.int16)
    bits = np.packbits(steps[:, :-1] < steps[:, 1:]).tobytes()
    small = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)
    digest = hashlib.sha256(np.ascontiguousarray(picture).tobytes()).digest()
    return Seen(digest, int.from_bytes(bits, "big"), small)


def duplicates(pictures: Sequence[Seen]) -> Duplicates:
    """The groups of pictures that are the same, or nearly.

    Two are nearly the same if their hashes differ in at most 3 of 64 bits, and their small pictures
    by at most 6 of 255 on average; groups are what such pairs connect.
    """
    same = defaultdict(list)
    for position, each in enumerate(pictures):
        same[each.digest].append(position)
    exact = [tuple(group) for group in same.values() if len(group) > 1]
    firsts = [group[0] for group in same.values()]
    near = _connected(firsts, _near_pairs([pictures[k] for k in firsts]))
    whole = [tuple(sorted(m for k in group for m in same[pictures[k].digest])) for group in near]
    return Duplicates(tuple(exact), tuple(sorted(whole)))


def _near_pairs(pictures: Sequence[Seen]) -> Iterator[tuple[int, int]]:
    hashes = np.array([each.hash for each in pictures], np.uint64)
    for low in range(0, BITS, BAND):
        bands = (hashes >> np.uint64(low)) & np.uint64(2**BAND - 1)
        order = np.argsort(bands, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(bands[order])) + 1):
            for at in range(len(group) - 1):
                yield from _near_to(pictures, hashes, int(group[at]), group[at + 1 :])


def _near_to(
    pictures: Sequence[Seen], hashes: UInt64[np.ndarray, " n"], one: int, others: np.ndarray
) -> Iterator[tuple[int, int]]:
    far = np.bitwise_count(hashes[others] ^ hashes[one])
    for other in others[far <= FAR].tolist():
        if np.abs(pictures[one].small - pictures[other].small).mean() <= CLOSE:
            yield one, other


def _connected(names: Sequence[int], pairs: Iterator[tuple[int, int]]) -> list[list[int]]:
    """The groups that pairs connect, by name."""
    parent = list(range(len(names)))

    def root(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    for one, other in pairs:
        parent[root(one)] = root(other)
    groups = defaultdict(list)
    for k, name in enumerate(names):
        groups[root(k)].append(name)
    return [group for group in groups.values() if len(group) > 1]
