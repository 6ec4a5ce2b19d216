"""Parquet files that hold pictures, as data sets of Hugging Face do."""

import dataclasses
import functools
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.data.records import PictureRecord, captioned
from diffusion_jax.data.records.fields import USUAL, CaptionFields, class_of
from diffusion_jax.data.records.shards import digest_of, named, shards_of
from diffusion_jax.errors import UserError, nearest

if TYPE_CHECKING:
    import pyarrow.parquet

KEPT = 8  # groups of rows that a process keeps


@datasets.register("parquet")
def parquet(
    path: str,
    size: int | tuple[int, int] = 64,
    test_path: str = "",
    picture: str = "image",
    captions: tuple[str, ...] = USUAL,
    weights: tuple[float, ...] = (),
    label: str = "",
    class_names: tuple[str, ...] = (),
    channels: int = 3,
    held_out: float = 0.01,
    crop: str = "center",
    damaged: float = 0.01,
    memory: bool | None = None,
) -> Dataset:
    """Captioned pictures in Parquet files, as Hugging Face's data sets come.

    A row's group is read to read the row, and the last groups are kept: files of small groups (of
    some hundred rows at most) are read fast in any order.

    Args:
        path: of a file, of a folder of them, or a pattern: "data/train-*.parquet".
        size: height and width, or one number for both.
        test_path: as `path`, of the rows to test with; "" holds some of `path` out.
        picture: the column of pictures: their files' bytes, or a struct with a field `bytes`.
        captions: the columns that are captions, texts or lists of texts; those that the files lack
            are passed over.
        weights: how often captions of each column are drawn; () is all equally often.
        label: the column of classes, whole numbers from 0; "" for none.
        class_names: of the classes, with a label.
        channels: 3, or 1 for grey; 4 or 2 for the same with opacity.
        held_out: share for testing, by file and row.
        crop: "center" or "random", see `records.captioned`.
        damaged: share of the rows that may be damaged, lack a picture or have no caption; the next
            good one stands in for each.
        memory: keep decoded pictures; None keeps what takes at most 1 GiB.

    Raises:
        UserError: no file is there, it has no such column, or a setting is wrong.
    """
    fields = CaptionFields(tuple(captions), tuple(weights), "parquet")
    if bool(label) != bool(class_names):
        raise UserError("Data set 'parquet': label= and class_names= come together.")
    settings = picture, fields, label, len(class_names)

    def records(path: str) -> ParquetRecords:
        return ParquetRecords(shards_of(path, "*.parquet", "parquet"), *settings)

    test = records(test_path) if test_path else None
    names = tuple(class_names)
    return captioned(
        "parquet", records(path), size, channels, held_out, crop, damaged, test, names, memory
    )


@dataclasses.dataclass(frozen=True, eq=False)
class ParquetRecords:
    """The rows of some Parquet files.

    Attributes:
        files: of the same columns.
        picture: the column of pictures.
        fields: the columns of captions.
        label: the column of classes; "" is none.
        num_classes: how many there are.
    """

    files: tuple[Path, ...]
    picture: str
    fields: CaptionFields
    label: str
    num_classes: int

    def __post_init__(self) -> None:
        names = self._open(0).schema_arrow.names
        present = [name for name in self.fields.names if name in names]
        wanted = [
            self.picture,
            *filter(None, [self.label]),
            *([] if present else self.fields.names),
        ]
        if missing := [name for name in wanted if name not in names]:
            raise UserError(
                f"{self.files[0]} has no column {missing[0]!r}: it has {', '.join(names)}."
                f"{nearest(missing[0], names)}"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        """Processes that read open the files anew."""
        own = self.files, self.picture, self.fields, self.label, self.num_classes
        return ParquetRecords, own

    @property
    def where(self) -> str:
        """The first file, and how many more there are."""
        return named(self.files)

    def _open(self, which: int) -> "pyarrow.parquet.ParquetFile":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return pq.ParquetFile(self.files[which], memory_map=True)
        except (OSError, pa.ArrowException) as error:
            raise UserError(
                f"{self.files[which]} is not a Parquet file ({str(error)[:160]})."
            ) from error

    @functools.cached_property
    def _ends(self) -> tuple[np.ndarray, list[tuple[int, int]]]:
        """Where each group of rows ends, and which it is: a file, and a group of it."""
        counts, groups = [], []
        for which in range(len(self.files)):
            about = self._open(which).metadata
            for group in range(about.num_row_groups):
                counts.append(about.row_group(group).num_rows)
                groups.append((which, group))
        return np.cumsum(counts, dtype=np.int64), groups

    @functools.cached_property
    def fingerprint(self) -> str:
        """A digest of the files' names and sizes, and of which columns are read."""
        return digest_of(self.files, (self.picture, self.fields, self.label))

    def __len__(self) -> int:
        ends = self._ends[0]
        return int(ends[-1]) if len(ends) else 0

    def key(self, index: int) -> str:
        """The file's name, the group and the row in it."""
        which, group, row = self._place(index)
        return f"{self.files[which].name}/{group}/{row}"

    def captions(self, index: int) -> tuple[str, ...]:
        """Those of a row."""
        which, group, row = self._place(index)
        table = self._tables.get(self, which, group, pictures=False)
        return self.fields.of({name: table[name][row].as_py() for name in table.column_names})[0]

    def __getitem__(self, index: int) -> PictureRecord:
        which, group, row = self._place(index)
        table = self._tables.get(self, which, group, pictures=True)
        fields = {name: table[name][row].as_py() for name in table.column_names}
        captions, weights = self.fields.of(fields)
        picture = fields[self.picture]
        if isinstance(picture, dict):
            picture = picture.get("bytes")
        if not isinstance(picture, bytes):
            raise UserError("it has no picture")
        label = class_of(fields.get(self.label), self.num_classes)
        return PictureRecord(picture, captions, label, weights)

    def _place(self, index: int) -> tuple[int, int, int]:
        """File, group, and row of the group."""
        ends, groups = self._ends
        which = int(np.searchsorted(ends, index, side="right"))
        return *groups[which], index - (int(ends[which - 1]) if which else 0)

    @functools.cached_property
    def _tables(self) -> "_Groups":
        return _Groups()

    def read(self, which: int, group: int, pictures: bool) -> Any:
        """A group of rows: captions and labels, with pictures or without."""
        import pyarrow as pa

        file = self._open(which)
        names = {*self.fields.names, self.label, *([self.picture] if pictures else [])}
        columns = [name for name in file.schema_arrow.names if name in names]
        try:
            return file.read_row_group(group, columns=columns, use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"its group of rows is damaged ({str(error)[:100]})") from error


class _Groups:
    """The last groups of rows that were read."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, int, bool], Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, records: ParquetRecords, which: int, group: int, pictures: bool) -> Any:
        """A group, read unless it is kept."""
        key = which, group, pictures
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        table = records.read(which, group, pictures)
        with self._lock:
            self._kept[key] = table
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return table
