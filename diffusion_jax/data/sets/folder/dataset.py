"""Any folder of captioned pictures as a data set."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.data.example import Example
from diffusion_jax.data.sets.folder.metadata import FILE, Entry, read_metadata
from diffusion_jax.data.sets.folder.pictures import MODES, read_pictures
from diffusion_jax.data.sets.folder.split import by_pictures, picture_keys, rank
from diffusion_jax.errors import UserError, one_of
from diffusion_jax.files import user_path
from diffusion_jax.words import split_words

LARGEST = 4096
PICTURES, CAPTIONS = "pictures", "captions"


@datasets.register("folder")
def folder(
    path: str, size: int = 32, channels: int = 3, held_out: float = 0.1, split: str = PICTURES
) -> Dataset:
    """Pictures with captions in a `metadata.jsonl` (the ImageFolder convention).

    Every line of that file is like `{"file_name": "a.png", "text": "a red circle"}`; there may be
    several captions, as a list or under `caption` too, of which training draws one at a time. A
    field `label` may name the picture's class. Pictures are cut to a square, resized, and kept in
    memory, size² × channels bytes each. They are read when first needed, those of both splits.

    Args:
        path: of the folder.
        size: pixels along an edge.
        channels: 3, or 1 for grey; 4 or 2 for the same with opacity.
        held_out: share that is for testing only, between 0 and 1; small classes have more than
            it, since each has a picture on both sides.
        split: what is held out. "pictures": no picture is on both sides, and every class of two
            pictures or more is on both; captions may be seen in training. "captions": no caption
            is on both sides; a picture with several may be, and a class may be missing on one. See
            `data.sets.folder.split`.

    Raises:
        UserError: something is wrong with the folder (the message names the line or the file),
            or one of the two splits would be empty.
    """
    one_of(split, (PICTURES, CAPTIONS), "split of the data set 'folder'")
    if channels not in MODES or not 1 <= size <= LARGEST:
        raise UserError(
            f"Data set 'folder': size={size}, channels={channels}; give a size from 1 to "
            f"{LARGEST}, and 1, 2, 3 or 4 channels."
        )
    where = user_path(path)
    entries = read_metadata(where)
    if split == CAPTIONS:  # each of several captions is on a side of its own
        entries = tuple(
            dataclasses.replace(entry, captions=(c,)) for entry in entries for c in entry.captions
        )
    captions = tuple(dict.fromkeys(c for entry in entries for c in entry.captions))
    unseen = tuple(c for c in captions if split == CAPTIONS and _rank(c) < held_out)
    by_words = None
    if split == CAPTIONS:
        held = frozenset(unseen)
        by_words = np.array([entry.captions[0] in held for entry in entries])
        _check_sides(where, held_out, by_words)
    elif not 0 < held_out < 1:
        _check_sides(where, held_out, np.full(len(entries), held_out >= 1))
    files = Files(where, entries, size, channels, held_out, by_words)
    return Dataset(
        name="folder",
        train=Side(files, False),
        test=Side(files, True),
        shape=(size, size, channels),
        class_names=files.class_names,
        captions=captions,
        prompts=unseen or captions,
        held_out_captions=unseen,
    )


def _rank(caption: str) -> float:
    """A number in [0, 1) that depends on the caption's words alone."""
    return rank(hashlib.sha256(" ".join(split_words(caption)).encode()).hexdigest())


def _check_sides(path: Path, held_out: float, side: Bool[np.ndarray, " n"]) -> None:
    train, test = int(np.sum(~side)), int(np.sum(side))
    if not (train and test):
        raise UserError(
            f"Data set 'folder': held_out={held_out} leaves {train} pictures of {path}/{FILE} "
            f"to train on and {test} to test with; give another share, or more that differ."
        )


@dataclasses.dataclass(frozen=True)
class Files:
    """The pictures of a folder, read once for both sides of the split.

    Attributes:
        path: of the folder.
        entries: n pictures with their captions and labels.
        size: pixels along an edge.
        channels: of a picture.
        held_out: share for testing.
        by_words: which entries are for testing, where captions say; else None.
    """

    path: Path
    entries: tuple[Entry, ...]
    size: int
    channels: int
    held_out: float
    by_words: Bool[np.ndarray, " n"] | None

    @functools.cached_property
    def class_names(self) -> tuple[str, ...]:
        """The labels, in the order of the alphabet."""
        return tuple(sorted({entry.label for entry in self.entries}))

    @functools.cached_property
    def labels(self) -> list[int]:
        """The class of each entry, as a position in `class_names`."""
        position = {name: k for k, name in enumerate(self.class_names)}
        return [position[entry.label] for entry in self.entries]

    @functools.cached_property
    def _read(self) -> tuple[UInt8[np.ndarray, "n size size channels"], list[str]]:
        # Several lines for one file are read once.
        paths = list(dict.fromkeys(entry.path for entry in self.entries))
        pictures, digests = read_pictures(paths, self.size, self.channels)
        if len(paths) == len(self.entries):
            return pictures, digests
        rows = {path: row for row, path in enumerate(paths)}
        found = [rows[entry.path] for entry in self.entries]
        return pictures[found], [digests[row] for row in found]

    @property
    def pictures(self) -> UInt8[np.ndarray, "n size size channels"]:
        """The picture of each entry."""
        return self._read[0]

    @property
    def digests(self) -> list[str]:
        """The SHA-256 of each entry's file."""
        return self._read[1]

    @functools.cached_property
    def keys(self) -> list[str]:
        """Of each entry: equal for those of one picture, and in no order of theirs."""
        return picture_keys(self.digests, self.pictures)

    @functools.cached_property
    def test(self) -> Bool[np.ndarray, " n"]:
        """Which entries are for testing."""
        if self.by_words is not None:
            return self.by_words
        test = by_pictures(self.entries, self.digests, self.pictures, self.held_out)
        _check_sides(self.path, self.held_out, test)
        return test


@dataclasses.dataclass(frozen=True)
class Side:
    """The examples of one side of the split: a source."""

    files: Files
    test: bool

    @functools.cached_property
    def _rows(self) -> list[int]:
        rows = [int(row) for row in np.flatnonzero(self.files.test == self.test)]
        if self.files.by_words is not None:
            return rows
        # Where lines come class by class, the first half of a side would be other classes than
        # the second: those that distances are measured to, and those that are asked for.
        keys = self.files.keys
        return sorted(rows, key=lambda row: (keys[row], row))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Example:
        row = self._rows[index]
        return {
            "image": self.files.pictures[row],
            "captions": self.files.entries[row].captions,
            "label": self.files.labels[row],
            "key": row,
        }

    def __getitems__(self, indices: Sequence[int]) -> list[Example]:
        """Several examples at once."""
        return [self[index] for index in indices]

    @functools.cached_property
    def fingerprint(self) -> str:
        """A digest of the files, captions and labels, in their order."""
        rows = ((self.files.digests[row], self.files.entries[row]) for row in self._rows)
        # One caption is written as it always was, so that runs go on.
        told = [
            (digest, entry.captions[0] if len(entry.captions) == 1 else entry.captions, entry.label)
            for digest, entry in rows
        ]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()
