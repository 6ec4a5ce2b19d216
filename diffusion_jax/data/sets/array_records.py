"""ArrayRecord files of TensorFlow's examples, without TensorFlow."""

import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.data.records import PictureRecord, captioned
from diffusion_jax.data.records.fields import USUAL, CaptionFields, class_of
from diffusion_jax.data.records.shards import digest_of, named, shards_of
from diffusion_jax.errors import UserError

BYTES, FLOATS, WHOLE = 1, 2, 3  # lists that a feature may be


@datasets.register("array_records")
def array_records(
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
    """Captioned pictures in ArrayRecord files, each record a tf.train.Example.

    Sets that TFDS has prepared are better opened by `tfds`, which knows their features.

    Args:
        path: of a file, of a folder of them, or a pattern: "data/train*.array_record*".
        size: height and width, or one number for both.
        test_path: as `path`, of the records to test with; "" holds some of `path` out.
        picture: the feature that is a picture's file.
        captions: the features that are captions, a text or several; those that a record lacks are
            passed over.
        weights: how often captions of each feature are drawn; () is all equally often.
        label: the feature that is a class, a whole number from 0; "" for none.
        class_names: of the classes, with a label.
        channels: 3, or 1 for grey; 4 or 2 for the same with opacity.
        held_out: share for testing, by file and position.
        crop: "center" or "random", see `records.captioned`.
        damaged: share of the records that may be damaged, lack a picture or have no caption; the
            next good one stands in for each.
        memory: keep decoded pictures; None keeps what takes at most 1 GiB.

    Raises:
        UserError: no file is there, or a setting is wrong.
    """
    fields = CaptionFields(tuple(captions), tuple(weights), "array_records")
    if bool(label) != bool(class_names):
        raise UserError("Data set 'array_records': label= and class_names= come together.")
    settings = picture, fields, label, len(class_names)

    def records(path: str) -> ArrayRecords:
        found = ArrayRecords(shards_of(path, "*.array_record*", "array_records"), *settings)
        len(found)  # opens the files
        return found

    test = records(test_path) if test_path else None
    names = tuple(class_names)
    return captioned(
        "array_records", records(path), size, channels, held_out, crop, damaged, test, names, memory
    )


@dataclasses.dataclass(frozen=True, eq=False)
class ArrayRecords:
    """The records of some ArrayRecord files.

    Attributes:
        files: of them.
        picture: the feature that is a picture.
        fields: the features that are captions.
        label: the feature that is a class; "" is none.
        num_classes: how many there are.
    """

    files: tuple[Path, ...]
    picture: str
    fields: CaptionFields
    label: str
    num_classes: int

    def __reduce__(self) -> tuple[Any, ...]:
        """Processes that read open the files anew."""
        own = self.files, self.picture, self.fields, self.label, self.num_classes
        return ArrayRecords, own

    @property
    def where(self) -> str:
        """The first file, and how many more there are."""
        return named(self.files)

    @functools.cached_property
    def _source(self) -> Any:
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        try:
            return ArrayRecordDataSource([str(file) for file in self.files])
        except Exception as error:  # its reader raises RuntimeError and what C++ raises
            reason = " ".join(str(error).split())[:160]
            raise UserError(f"{self.where} cannot be read as ArrayRecord ({reason}).") from error

    @functools.cached_property
    def fingerprint(self) -> str:
        """A digest of the files' names and sizes, and of which features are read."""
        return digest_of(self.files, (self.picture, self.fields, self.label))

    def __len__(self) -> int:
        return len(self._source)

    def key(self, index: int) -> str:
        """The position in all files."""
        return str(index)

    def captions(self, index: int) -> tuple[str, ...]:
        """Those of a record."""
        return self.fields.of(self._features(index))[0]

    def __getitem__(self, index: int) -> PictureRecord:
        features = self._features(index)
        captions, weights = self.fields.of(features)
        pictures = features.get(self.picture, [])
        if len(pictures) != 1 or not isinstance(pictures[0], bytes):
            raise UserError(f"it has no picture under {self.picture!r}")
        label = class_of((features.get(self.label) or [None])[0], self.num_classes)
        return PictureRecord(pictures[0], captions, label, weights)

    def _features(self, index: int) -> dict[str, list[Any]]:
        try:
            content = self._source[index]
        except Exception as error:  # as above
            raise UserError(f"it cannot be read ({str(error)[:100]})") from error
        return parse_example(content)


def parse_example(content: bytes) -> dict[str, list[Any]]:
    """The features of a tf.train.Example: texts as bytes, whole numbers; floats are left out.

    Raises:
        UserError: it is none; the message is the end of a sentence.

    Source: tensorflow/core/example/example.proto and feature.proto, and the encoding of Protocol
    Buffers.

    >>> parse_example(b"\\n\\r\\n\\x0b\\n\\x01a\\x12\\x06\\n\\x04\\n\\x02hi")
    {'a': [b'hi']}
    """
    found = {}
    try:
        for features in _parts(content, 1):
            for entry in _parts(features, 1):
                name = b"".join(_parts(entry, 1)).decode()
                found[name] = [value for each in _parts(entry, 2) for value in _values(each)]
    except (IndexError, UnicodeDecodeError, TypeError):
        raise UserError("it is not a tf.train.Example") from None
    return found


def _values(feature: bytes) -> Iterator[Any]:
    for number, values in _fields(feature):
        if number == BYTES:
            yield from _parts(values, 1)
        elif number == WHOLE:
            for _, packed in _fields(values):
                yield from [packed] if isinstance(packed, int) else _varints(packed)


def _parts(content: bytes, wanted: int) -> Iterator[bytes]:
    """The fields of a number that are bytes."""
    return (value for number, value in _fields(content) if number == wanted)


def _fields(content: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field of a message."""
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(content, at)
            yield tag >> 3, _signed(value)
            continue
        size = {1: 8, 5: 4}.get(kind)
        if kind == 2:
            size, at = _varint(content, at)
        if size is None or at + size > len(content):
            raise IndexError
        yield tag >> 3, content[at : at + size]
        at += size


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128 or shift > 63:
            return value, at


def _varints(packed: bytes) -> Iterator[int]:
    at = 0
    while at < len(packed):
        value, at = _varint(packed, at)
        yield _signed(value)


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value
