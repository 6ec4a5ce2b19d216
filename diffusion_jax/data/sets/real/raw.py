"""What a published data set consists of before it is prepared."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from diffusion_jax.errors import UserError

Paths = Mapping[str, Path]
"""File name -> where it lies on this machine."""

Arrays = tuple[np.ndarray, np.ndarray]
"""(uint8 pictures (n, h, w, c), int64 labels (n,))"""


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """A file on the web, and by what it is known to be whole.

    Attributes:
        url: where it is.
        size: in bytes.
        sha256: its digest, hexadecimal.
    """

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

    def read_split(self, paths: Paths, split: str) -> Arrays:
        """The pictures and labels of a split, "train" or "test", as a set of this kind has them.

        Raises:
            UserError: a file is damaged, or of another set.
        """
        images, labels = self.read(paths, split)
        if problem := self.problem(images, labels):
            where = " and ".join(str(path) for path in paths.values())
            raise UserError(f"Data set {self.name!r}: {problem} ({split}, from {where})."[:600])
        return images, labels

    def problem(self, images: np.ndarray, labels: np.ndarray) -> str:
        """What keeps pictures and labels from being of this set; "" if nothing does."""
        if not len(images):
            return "there are no pictures"
        if images.shape[1:] != self.shape:
            return f"pictures are of shape {images.shape[1:]}, not {self.shape}"
        last = len(self.phrases) - 1
        if labels.min() < 0 or labels.max() > last:
            found = labels.max() if labels.max() > last else labels.min()
            return f"labels above {last}, such as {found}" if found > last else f"label {found}"
        return ""
