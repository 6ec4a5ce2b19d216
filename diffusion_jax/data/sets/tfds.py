"""Any data set that TFDS has prepared as array records, opened by name and without TensorFlow.

Records are read by index and pictures decoded here, so that nothing of TensorFlow is needed. Many
of TFDS's own builders do need it to prepare a set (to unpack, to decode or to encode): prepare such
a set once where it is installed, `tfds build NAME --file_format=array_record`, and copy the folder.
"""

import dataclasses
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.data.example import NO_LABEL, Example, Source, take, values_of
from diffusion_jax.data.memory import ArraySource, MemorySource
from diffusion_jax.data.pictures import MODES, Size, fitted
from diffusion_jax.errors import UserError, nearest
from diffusion_jax.files import user_path

if TYPE_CHECKING:
    from tensorflow_datasets.core import DatasetBuilder
    from tensorflow_datasets.core.features import FeaturesDict

DATA_DIR = "~/tensorflow_datasets"
KEPT = 2**32  # bytes of pictures, unless asked for otherwise
CLASS = "{label}"


@datasets.register("tfds")
def tfds(
    name: str,
    split: str = "train",
    test_split: str = "test",
    picture: str = "image",
    caption: str = "",
    label: str = "",
    also: tuple[str, ...] = (),
    data_dir: str = DATA_DIR,
    size: int | tuple[int, int] = 0,
    memory: bool | None = None,
) -> Dataset:
    """A data set of TFDS, by its name and the names of its features.

    Args:
        name: of the builder, as TFDS writes it: "oxford_flowers102", "coco_captions/2014:1.1.0".
        split: to train on, such as "train[:90%]".
        test_split: to compare with; "" for none.
        picture: the feature that is a picture, an Image or a Tensor of bytes (h, w, c).
        caption: the feature that is a text or several, or what to say of each class, such as
            "a picture of a {label}"; "" for no captions. A feature within others is written with
            slashes: "captions/text".
        label: the feature that is a ClassLabel; "" for no classes.
        also: further features, arrays of numbers of one shape, for conditioners that read keys of
            these names.
        data_dir: TFDS's folder of data sets.
        size: height and width, or one number for both, to which the middle of each picture is cut
            and resized; 0 where all pictures are of one size already.
        memory: keep the pictures in memory; None keeps what takes at most 4 GiB.

    Raises:
        UserError: there is no such data set, split or feature, it must be prepared where TensorFlow
            is, or pictures are of several sizes and none is given.
    """
    builder = _open(name, user_path(data_dir))
    features = builder.info.features
    for feature in (picture, label, "" if CLASS in caption else caption, *also):
        if feature:
            _feature(features, feature, name)
    class_names = _class_names(features, label, name)
    if CLASS in caption and not class_names:
        raise UserError(f"Data set {name!r}: caption={caption!r} names classes; say which label.")
    shape = _shape(features, picture, size, name)
    read = _Reader(picture, caption, label, also, class_names, shape)
    train, test = (_source(builder, each, read, memory) for each in (split, test_split))
    said = tuple(caption.replace(CLASS, each) for each in class_names) if CLASS in caption else ()
    return Dataset(
        name="tfds",
        train=train,
        shape=shape,
        test=test,
        class_names=class_names,
        captions=said or _Captions(builder, tuple(filter(None, (split, test_split))), read),
        prompts=said,
    )


@dataclasses.dataclass(frozen=True)
class _Reader:
    """Turns what TFDS gives into examples."""

    picture: str
    caption: str
    label: str
    also: tuple[str, ...]
    class_names: tuple[str, ...]
    shape: tuple[int, int, int]

    def words(self, record: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
        """Its captions, and its label."""
        label = int(_at(record, self.label)) if self.label else NO_LABEL
        if CLASS in self.caption:
            return (self.caption.replace(CLASS, self.class_names[label]),), label
        return _texts(_at(record, self.caption)) if self.caption else (), label

    def example(self, record: Mapping[str, Any], key: int, where: str) -> Example:
        captions, label = self.words(record)
        try:
            image = _decoded(_at(record, self.picture), self.shape)
        except Exception as error:  # whatever the decoder of a damaged picture stumbles over
            reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
            raise UserError(f"Cannot read picture {key} of {where}: {reason}.") from error
        others = {name: np.asarray(_at(record, name)) for name in self.also}
        return {"image": image, "captions": captions, "label": label, "key": key, **others}


@dataclasses.dataclass(frozen=True, eq=False)
class TFDSSource:
    """The examples of a split, read when asked for.

    Attributes:
        records: of TFDS, by index; pictures not yet decoded.
        read: makes examples of them.
        where: data set and split.
    """

    records: Sequence[Any]
    read: _Reader
    where: str

    @property
    def fingerprint(self) -> str:
        """A digest of what is read of which version; TFDS checks its files itself."""
        facts = [self.where, len(self.records), *dataclasses.astuple(self.read)]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Example:
        return self.read.example(self.records[index], index, self.where)

    def __getitems__(self, indices: Sequence[int]) -> list[Example]:
        """Several examples, whose records are read at once."""
        records = self.records.__getitems__(indices)  # type: ignore[attr-defined]
        pairs = zip(records, indices, strict=True)
        return [self.read.example(record, int(index), self.where) for record, index in pairs]

    def kept(self) -> ArraySource:
        """All of it in memory."""
        examples = take(self, range(len(self)))
        labels = np.array([example["label"] for example in examples], np.int64)
        captions = [example["captions"] for example in examples]
        others = {name: np.stack([each[name] for each in examples]) for name in self.read.also}
        return ArraySource(values_of(examples), labels, captions, others=others)


@dataclasses.dataclass(frozen=True)
class _Captions:
    """All captions of some splits, read whenever they are gone through."""

    builder: "DatasetBuilder"
    splits: tuple[str, ...]
    read: _Reader

    def __iter__(self) -> Iterator[str]:
        for split in self.splits if self.read.caption else ():
            for record in _records(self.builder, split, self.read.picture):
                yield from self.read.words(record)[0]


def _open(name: str, data_dir: Path) -> "DatasetBuilder":
    """A prepared builder; one that can be prepared without TensorFlow is."""
    import tensorflow_datasets

    try:
        builder = tensorflow_datasets.builder(name, data_dir=data_dir)
        if not Path(builder.data_path).exists():
            builder = tensorflow_datasets.builder(
                name, data_dir=data_dir, file_format="array_record"
            )
            builder.download_and_prepare()
    except Exception as error:  # TFDS, the network and the disk fail with many classes
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        wants = isinstance(error, ImportError) or "tensorflow" in reason.lower()
        remedy = (
            f"Prepare it where TensorFlow is installed, with `tfds build {name} "
            "--file_format=array_record`, and copy it there."
            if wants
            else "The names of those that are prepared are those of the folders there."
        )
        raise UserError(
            f"Cannot open the TFDS data set {name!r} in {data_dir} ({reason}). {remedy}"
        ) from error
    return builder


def _records(builder: "DatasetBuilder", split: str, picture: str) -> Sequence[Any]:
    import tensorflow_datasets

    known = tuple(builder.info.splits)
    if split.split("[")[0].split("+")[0] not in known:
        raise UserError(
            f"Data set {builder.name!r} has no split {split!r}: it has {', '.join(known)}."
        )
    decoders: object = None
    if isinstance(_at(builder.info.features, picture), tensorflow_datasets.features.Image):
        decoders = tensorflow_datasets.decode.SkipDecoding()
        for part in reversed(picture.split("/")):
            decoders = {part: decoders}
    try:
        return builder.as_data_source(split, decoders=decoders)
    except Exception as error:  # TFDS raises what its readers raise
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"Cannot read {split!r} of {builder.name!r} by index ({reason}). Prepare it with "
            "--file_format=array_record."
        ) from error


def _source(builder: "DatasetBuilder", split: str, read: _Reader, memory: bool | None) -> Source:
    if not split:
        return ()
    where = f"{builder.info.full_name}, {split}"
    source = TFDSSource(_records(builder, split, read.picture), read, where)
    values = len(source) * int(np.prod(read.shape))
    if memory is False or (memory is None and values > KEPT):
        return source
    return MemorySource(len(source), source.kept)


def _at(tree: Any, path: str) -> Any:
    """What is at a path such as "captions/text", in features or in a record."""
    for part in path.split("/"):
        tree = tree[part]
    return tree


def _feature(features: "FeaturesDict", path: str, name: str) -> Any:
    try:
        return _at(features, path)
    except (KeyError, TypeError, IndexError):
        known = ", ".join(features)
        raise UserError(
            f"Data set {name!r} has no feature {path!r}: it has {known}.{nearest(path, features)}"
        ) from None


def _class_names(features: "FeaturesDict", label: str, name: str) -> tuple[str, ...]:
    if not label:
        return ()
    feature = _feature(features, label, name)
    if not hasattr(feature, "names"):
        raise UserError(f"Data set {name!r}: the feature {label!r} is no ClassLabel.")
    return tuple(feature.names)


def _shape(
    features: "FeaturesDict", picture: str, size: int | tuple[int, int], name: str
) -> tuple[int, int, int]:
    height, width, channels = (tuple(_feature(features, picture, name).shape) + (None,) * 3)[:3]
    if size:
        height, width = (size, size) if isinstance(size, int) else size
    if not height or not width or (channels or 3) not in MODES:
        raise UserError(
            f"Data set {name!r}: the pictures {picture!r} are of shape "
            f"{tuple(_feature(features, picture, name).shape)}; give a size, such as size=64."
        )
    return height, width, channels or 3


def _texts(found: object) -> tuple[str, ...]:
    several = [found] if isinstance(found, (bytes, str)) else np.asarray(found).ravel().tolist()
    return tuple(each.decode() if isinstance(each, bytes) else str(each) for each in several)


def _decoded(found: object, shape: tuple[int, int, int]) -> UInt8[np.ndarray, "_ _ _"]:
    from PIL import Image

    size: Size = shape[:2]
    if isinstance(found, bytes):
        with Image.open(io.BytesIO(found)) as opened:
            return fitted(opened, size, shape[2])
    values = np.asarray(found)
    if values.dtype != np.uint8:
        raise UserError(f"it is {values.dtype}, not bytes")
    if values.shape == shape:
        return values
    plain = values[..., 0] if values.shape[-1] == 1 else values
    return fitted(Image.fromarray(plain), size, shape[2])
