"""A captioned picture as it lies on disk, and what every format makes of its files."""

import dataclasses
from typing import Protocol, runtime_checkable

from diffusion_jax.data.example import NO_LABEL


@dataclasses.dataclass(frozen=True)
class PictureRecord:
    """A picture that is not decoded yet, and what is said of it.

    Attributes:
        picture: the bytes of its file, in any format that Pillow reads.
        captions: what it shows, in one text or several.
        label: its class; -1 for none.
        weights: how often each caption is drawn, relative to the others; () is equally often.
    """

    picture: bytes
    captions: tuple[str, ...]
    label: int = NO_LABEL
    weights: tuple[float, ...] = ()


@runtime_checkable
class Records(Protocol):
    """Records by index, in any order, the same every time; read from disk when asked for."""

    @property
    def where(self) -> str:
        """The files they are in, for messages."""
        ...

    @property
    def fingerprint(self) -> str:
        """A digest of which records there are, without reading them."""
        ...

    def __len__(self) -> int:
        """Number of records."""
        ...

    def key(self, index: int, /) -> str:
        """What tells a record from all others: it stays when records are added."""
        ...

    def captions(self, index: int, /) -> tuple[str, ...]:
        """Those of a record, whose picture is not read.

        Raises:
            UserError: the record is damaged or empty; the message is the end of a sentence.
        """
        ...

    def __getitem__(self, index: int, /) -> PictureRecord:
        """A record.

        Raises:
            UserError: as of `captions`.
        """
        ...
