"""Which pictures of a folder are for testing only.

By pictures: what is on which side depends on a picture's content. Entries are one picture if their
files are equal byte by byte, or become equal pictures as networks see them (cut, resized, 8 bits):
a picture with several captions, or saved under several names, is on one side. Its rank is a number
in [0, 1) made from the SHA-256 of its file, the least of them if there are several; it is for
testing if that is below the share held out. A class (of several labels, the first in the alphabet)
of two pictures or more is on both sides: if all of it were on one side, its picture of the least
rank is moved to testing, or of the greatest to training. So pictures can be added without moving
others, but for those of a class that was so small, and a picture that is added in another format.

Where pictures are read only as they are needed, a picture is its file's name and size.

By captions: the rank is made from the words of a caption, and all pictures with this caption are
on one side. The captions of testing are not seen in training; pictures with several may be, and
classes may be missing on a side.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, UInt8

from diffusion_jax.data.sets.folder.metadata import Entry


def by_keys(
    entries: Sequence[Entry], keys: Sequence[str], held_out: float
) -> Bool[np.ndarray, " n"]:
    """Which entries are for testing only, by their pictures.

    Args:
        entries: n of them.
        keys: a SHA-256 in hexadecimal for each, equal for those of one picture.
        held_out: share that is for testing.
    """
    classes: dict[str, str] = {}
    for key, entry in zip(keys, entries, strict=True):
        classes[key] = min(entry.label, classes.get(key, entry.label))
    test = _test(classes, held_out)
    return np.array([key in test for key in keys])


def picture_keys(
    digests: Sequence[str], pictures: UInt8[np.ndarray, "n height width channels"]
) -> list[str]:
    """The least digest of the files that are the same picture, for each entry.

    Args:
        digests: SHA-256 of their files, in hexadecimal.
        pictures: as networks see them.
    """
    seen = [hashlib.sha256(picture.tobytes()).hexdigest() for picture in pictures]
    least: dict[str, str] = {}
    for picture, digest in zip(seen, digests, strict=True):
        least[picture] = min(digest, least.get(picture, digest))
    return [least[picture] for picture in seen]


def _test(classes: Mapping[str, str], held_out: float) -> set[str]:
    """The pictures for testing, of all pictures and their classes."""
    ranked: dict[str, list[str]] = {}
    for key in sorted(classes, key=rank):
        ranked.setdefault(classes[key], []).append(key)
    test: set[str] = set()
    for own in ranked.values():
        count = sum(rank(key) < held_out for key in own)
        test.update(own[: count if len(own) == 1 else min(max(count, 1), len(own) - 1)])
    return test


def rank(digest: str) -> float:
    """A number in [0, 1) from a SHA-256 in hexadecimal."""
    return int(digest[:14], 16) / 2**56
