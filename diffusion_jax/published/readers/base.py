"""What a reader of weights is, and how the one for a file is found: by what is in it."""

import dataclasses
from pathlib import Path
from typing import Protocol, runtime_checkable

from diffusion_jax.errors import UserError
from diffusion_jax.files import user_path
from diffusion_jax.published.readers.folder import weights_in
from diffusion_jax.published.readers.mapped import File
from diffusion_jax.published.readers.weights import Weights
from diffusion_jax.registry import Registry

HEAD = 512  # bytes, as long as what tells a tar archive


@dataclasses.dataclass(frozen=True)
class PathContents:
    """What lies at a path.

    Attributes:
        path: of the file or folder.
        file: the file; None for a folder.
        head: its first bytes, at most 512; none for a folder.
        names: what lies in the folder; none for a file.
    """

    path: Path
    file: File | None
    head: bytes
    names: frozenset[str]

    @classmethod
    def at(cls, path: Path) -> "PathContents":
        """Looks at a path.

        Raises:
            UserError: there is nothing, or nothing that can be read.
        """
        if path.is_dir():
            try:
                names = frozenset(entry.name for entry in path.iterdir())
            except OSError as error:
                raise UserError(f"Cannot read {path}: {error.strerror}.") from error
            return cls(path, None, b"", names)
        file = File.at(path)
        return cls(path, file, file.head(HEAD), frozenset())


@runtime_checkable
class Reader(Protocol):
    """Reads the weights of one format, without running anything that a file holds."""

    def recognises(self, found: PathContents) -> bool:
        """Whether that is a file or folder of this format, by its first bytes or its files."""
        ...

    def open(self, found: PathContents) -> Weights:
        """Its tensors, of which shapes and dtypes alone are read.

        Raises:
            UserError: it is damaged, or holds what is not read.
        """
        ...


readers: Registry[Reader] = Registry("reader")


def open_weights(path: str | Path, variant: str = "") -> Weights:
    """Opens a file or folder of weights, whatever its format; nothing in it is run.

    Args:
        path: a file, an index of shards, or a folder that holds the weights of one model.
        variant: which of the files of a folder, such as "fp16"; those without a variant if empty.

    Raises:
        UserError: there is nothing, nothing that is read, or it is damaged.
    """
    place = user_path(path)
    if not place.exists():
        raise UserError(f"There is no file or folder {place}.")
    found = PathContents.at(place)
    for _ in range(2):
        for name in readers:
            reader = readers.make(name)
            if reader.recognises(found):
                return reader.open(found)
        if found.file is not None:
            break
        found = PathContents.at(weights_in(found.path, found.names, variant))
    raise UserError(
        f"{found.path} begins with {found.head[:8]!r} and is of no format that is read: "
        f"{', '.join(readers)}."
    )
