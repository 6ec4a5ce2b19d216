"""The pictures of a folder: read once and kept, or read as they are asked for."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from diffusion_jax.data.example import Example
from diffusion_jax.data.pictures import Size, load_pictures, read_pictures
from diffusion_jax.data.sets.folder.metadata import Entry
from diffusion_jax.data.sets.folder.split import by_keys, picture_keys
from diffusion_jax.errors import UserError


def check_sides(path: Path, held_out: float, side: Bool[np.ndarray, " n"]) -> None:
    """Raises UserError unless there are pictures on both sides of the split."""
    train, test = int(np.sum(~side)), int(np.sum(side))
    if not (train and test):
        raise UserError(
            f"Data set 'folder': held_out={held_out} leaves {train} pictures of {path} "
            f"to train on and {test} to test with; give another share, or more that differ."
        )


@dataclasses.dataclass(frozen=True)
class Files:
    """The pictures of a folder, for both sides of the split.

    Attributes:
        path: of the folder.
        entries: n pictures with their captions and labels.
        size: height and width.
        channels: of a picture.
        held_out: share for testing.
        by_words: which entries are for testing, where captions say; else None.
        memory: keep the pictures, all read when one is first needed. If not, each is read whenever
            it is needed, and a picture is known by its file's name, since its content would have
            to be read first.
    """

    path: Path
    entries: tuple[Entry, ...]
    size: Size
    channels: int
    held_out: float
    by_words: Bool[np.ndarray, " n"] | None
    memory: bool = True

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
    def _read(self) -> tuple[UInt8[np.ndarray, "n height width channels"], list[str]]:
        # Several lines for one file are read once.
        paths = list(dict.fromkeys(entry.path for entry in self.entries))
        pictures, digests = read_pictures(paths, self.size, self.channels)
        if len(paths) == len(self.entries):
            return pictures, digests
        rows = {path: row for row, path in enumerate(paths)}
        found = [rows[entry.path] for entry in self.entries]
        return pictures[found], [digests[row] for row in found]

    def pictures(self, rows: Sequence[int]) -> UInt8[np.ndarray, "_ height width channels"]:
        """Those of some entries."""
        if self.memory:
            return self._read[0][list(rows)]
        return load_pictures([self.entries[row].path for row in rows], self.size, self.channels)

    @functools.cached_property
    def digests(self) -> list[str]:
        """The SHA-256 of each entry's file; of its name and size, where files are not read yet."""
        if self.memory:
            return self._read[1]
        return [_name_digest(entry.path, self.path) for entry in self.entries]

    @functools.cached_property
    def keys(self) -> list[str]:
        """Of each entry: equal for those of one picture, and in no order of theirs."""
        return picture_keys(self.digests, self._read[0]) if self.memory else self.digests

    @functools.cached_property
    def test(self) -> Bool[np.ndarray, " n"]:
        """Which entries are for testing."""
        if self.by_words is not None:
            return self.by_words
        test = by_keys(self.entries, self.keys, self.held_out)
        check_sides(self.path, self.held_out, test)
        return test


def _name_digest(path: Path, folder: Path) -> str:
    known = f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}"
    return hashlib.sha256(known.encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Side:
    """The examples of one side of the split: a source.

    Attributes:
        files: of the whole folder.
        test: whether it is the side for testing.
    """

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
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Example]:
        """Several examples at once, whose files are read in threads."""
        rows = [self._rows[index] for index in indices]
        return [
            {
                "image": picture,
                "captions": self.files.entries[row].captions,
                "label": self.files.labels[row],
                "key": row,
            }
            for row, picture in zip(rows, self.files.pictures(rows), strict=True)
        ]

    @functools.cached_property
    def fingerprint(self) -> str:
        """A digest of the files, captions and labels, in their order."""
        rows = ((self.files.digests[row], self.files.entries[row]) for row in self._rows)
        # One caption is written as it always was, so that runs go on.
        facts = [
            (digest, entry.captions[0] if len(entry.captions) == 1 else entry.captions, entry.label)
            for digest, entry in rows
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
