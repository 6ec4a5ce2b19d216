"""Records whose pictures are files, and whose captions are known."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from diffusion_jax.data.example import NO_LABEL
from diffusion_jax.data.records.record import PictureRecord
from diffusion_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class PictureFile:
    """A file and what it shows.

    Attributes:
        name: of the file, within a folder.
        captions: what it shows.
        label: its class; -1 for none.
    """

    name: str
    captions: tuple[str, ...]
    label: int = NO_LABEL


@dataclasses.dataclass(frozen=True, eq=False)
class PictureFiles:
    """Files of pictures with captions: records.

    Attributes:
        folder: they are in.
        files: with their captions.
    """

    folder: Path
    files: Sequence[PictureFile]

    @property
    def where(self) -> str:
        """The folder."""
        return str(self.folder)

    @functools.cached_property
    def fingerprint(self) -> str:
        """A digest of names, captions and labels; files are not read."""
        facts = [dataclasses.astuple(each) for each in self.files]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.files)

    def key(self, index: int) -> str:
        """The file's name."""
        return self.files[index].name

    def captions(self, index: int) -> tuple[str, ...]:
        """Those of a file."""
        return self.files[index].captions

    def __getitem__(self, index: int) -> PictureRecord:
        file = self.files[index]
        try:
            content = (self.folder / file.name).read_bytes()
        except OSError as error:
            raise UserError(f"it cannot be read: {error.strerror}") from error
        return PictureRecord(content, file.captions, file.label)
