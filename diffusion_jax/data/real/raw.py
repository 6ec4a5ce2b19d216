"""What a published data set consists of before it is prepared."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

Paths = Mapping[str, Path]
"""File name -> where it lies on this machine."""

Arrays = tuple[np.ndarray, np.ndarray]
"""(uint8 pictures (n, h, w, c), int64 labels (n,))"""


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """A file on the web, and how to tell that it arrived whole."""

    url: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """The last part of the address.

        >>> RemoteFile("https://example.org/a/b.gz", 1, "").name
        'b.gz'
        """
        return self.url.rsplit("/", 1)[1]


@dataclasses.dataclass(frozen=True)
class RawSet:
    """A published set of labelled pictures as its authors distribute it.

    Attributes:
        name: of the registry.
        homepage: of the authors.
        citation: who made it.
        phrases: what is in the pictures of each label, as words that follow "a picture of".
        shape: of a picture, (height, width, channels).
        files: what to download.
        locate: finds the files, or an equivalent of them, in a folder; None if they are not
            (all) there.
        read: (found files, "train" or "test") -> pictures and labels; raises UserError where
            a file is damaged.
        folders: where packages of operating systems put the files.
        how: how else to come by the files, as the end of a sentence.
    """

    name: str
    homepage: str
    citation: str
    phrases: tuple[str, ...]
    shape: tuple[int, int, int]
    files: tuple[RemoteFile, ...]
    locate: Callable[[Path], Paths | None]
    read: Callable[[Paths, str], Arrays]
    how: str
    folders: tuple[Path, ...] = ()
