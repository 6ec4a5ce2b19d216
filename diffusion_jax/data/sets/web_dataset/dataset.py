"""Tar files as a data set with random access."""

import dataclasses
import functools
import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.data.records import PictureRecord, captioned
from diffusion_jax.data.records.fields import USUAL, CaptionFields, class_of, read_fields
from diffusion_jax.data.records.shards import named, shards_of
from diffusion_jax.data.sets.web_dataset.index import CLASS, JSON, TEXT, index_of
from diffusion_jax.errors import UserError

LARGEST = 2**30  # bytes of a picture
LONGEST = 2**24  # bytes of a text


@datasets.register("web_dataset")
def web_dataset(
    path: str,
    size: int | tuple[int, int] = 64,
    test_path: str = "",
    captions: tuple[str, ...] = USUAL,
    weights: tuple[float, ...] = (),
    num_classes: int = 0,
    channels: int = 3,
    held_out: float = 0.01,
    crop: str = "center",
    damaged: float = 0.01,
    memory: bool | None = None,
) -> Dataset:
    """Captioned pictures in tar files: the layouts of LAION, CC12M and GPIC.

    A record is a picture KEY.jpg (png, webp, …) with KEY.txt, its caption, or KEY.json, an object
    that has some. Where records lie is found once and kept beside each tar file, so that any may be
    read at any time: order, resuming and shares are those of every data set.

    Args:
        path: of a tar file, of a folder of them, or of several: "shards/{00000..00123}.tar",
            "shards/*.tar".
        size: height and width, or one number for both.
        test_path: as `path`, of the records to test with; "" holds some of `path` out.
        captions: the fields that are captions, of which a record has some: "txt" is the text, all
            others are of the JSON object. Training draws one caption of a record at a time.
        weights: how often captions of each field are drawn; () is all equally often.
        num_classes: how many there are, where KEY.cls holds a number from 0; 0 reads none.
        channels: 3, or 1 for grey; 4 or 2 for the same with opacity.
        held_out: share for testing, by key.
        crop: "center" or "random", see `records.captioned`.
        damaged: share of the records that may be damaged, lack a picture or have no caption; the
            next good one stands in for each.
        memory: keep decoded pictures; None keeps what takes at most 1 GiB.

    Raises:
        UserError: no tar file is there, one is compressed, or a setting is wrong.
    """
    fields = CaptionFields(tuple(captions), tuple(weights), "web_dataset")

    def records(path: str) -> TarRecords:
        found = TarRecords(shards_of(path, "*.tar", "web_dataset"), fields, num_classes)
        len(found)  # opens the files
        return found

    test = records(test_path) if test_path else None
    names = tuple(map(str, range(num_classes)))
    return captioned(
        "web_dataset", records(path), size, channels, held_out, crop, damaged, test, names, memory
    )


@dataclasses.dataclass(frozen=True, eq=False)
class TarRecords:
    """The records of some tar files.

    Attributes:
        shards: the files.
        fields: which hold captions.
        num_classes: how many classes there are; 0 is none.
    """

    shards: tuple[Path, ...]
    fields: CaptionFields
    num_classes: int = 0

    def __reduce__(self) -> tuple[Any, ...]:
        """Processes that read find the indices on disk."""
        return TarRecords, (self.shards, self.fields, self.num_classes)

    @property
    def where(self) -> str:
        """The first file, and how many more there are."""
        return named(self.shards)

    @functools.cached_property
    def _indices(self) -> list[np.ndarray]:
        return [index_of(shard) for shard in self.shards]

    @functools.cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum([len(index) for index in self._indices])

    @functools.cached_property
    def fingerprint(self) -> str:
        """A digest of the records' names and places; what they hold is not read."""
        digest = hashlib.sha256(repr((self.fields, self.num_classes)).encode())
        for shard, index in zip(self.shards, self._indices, strict=True):
            digest.update(f"{shard.name}\0{len(index)}\0".encode() + np.asarray(index).tobytes())
        return digest.hexdigest()

    def __len__(self) -> int:
        return int(self._ends[-1])

    def _row(self, index: int) -> tuple[Path, np.void]:
        which = int(np.searchsorted(self._ends, index, side="right"))
        start = int(self._ends[which - 1]) if which else 0
        return self.shards[which], self._indices[which][index - start]

    def key(self, index: int) -> str:
        """The tar file's name and the record's key in it."""
        shard, row = self._row(index)
        return f"{shard.name}/{row['key'].decode('utf-8', 'surrogateescape')}"

    def captions(self, index: int) -> tuple[str, ...]:
        """Those of a record."""
        return self.fields.of(self._texts(*self._row(index)))[0]

    def __getitem__(self, index: int) -> PictureRecord:
        shard, row = self._row(index)
        captions, weights = self.fields.of(self._texts(shard, row))
        picture = _part(shard, row, "picture", LARGEST)
        if picture is None:
            raise UserError("it has no picture")
        return PictureRecord(picture, captions, self._label(shard, row), weights)

    def _texts(self, shard: Path, row: np.void) -> dict[str, object]:
        """The fields of a record."""
        about = _part(shard, row, JSON, LONGEST)
        fields = {} if about is None else read_fields(about)
        text = _part(shard, row, TEXT, LONGEST)
        return fields if text is None else fields | {TEXT: text}

    def _label(self, shard: Path, row: np.void) -> int:
        if not self.num_classes:
            return class_of(None, 0)
        given = (_part(shard, row, CLASS, LONGEST) or b"").strip()
        return class_of(int(given) if given.isdigit() else given, self.num_classes)


def _part(shard: Path, row: np.void, part: str, most: int) -> bytes | None:
    """A file of a record; None if it has none."""
    at, count = int(row[f"{part}_at"]), int(row[f"{part}_size"])
    if at < 0:
        return None
    if count > most:
        raise UserError(f"its {part} has {count:,} bytes, more than {most:,}")
    try:
        with shard.open("rb") as file:
            file.seek(at)
            return file.read(count)
    except OSError as error:
        raise UserError(f"{shard} cannot be read: {error.strerror}") from error
