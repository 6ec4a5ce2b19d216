"""Raw files to array records, by TFDS's own machinery, without TensorFlow.

TFDS's stock builders of these sets unpack and encode pictures with TensorFlow. The builder here
downloads the same files with the same checksums through TFDS's download manager, reads them
with NumPy, and stores plain arrays, which TFDS can write and read on its own.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.checksums import UrlInfo

from diffusion_jax.data.sets.real import record
from diffusion_jax.data.sets.real.contents import digests, published
from diffusion_jax.data.sets.real.find import find
from diffusion_jax.data.sets.real.raw import Arrays, Paths, RawSet
from diffusion_jax.errors import UserError

CHUNK = 1000
VERSION = "1.0.0"
SPLITS = ("train", "test")
RECORDS = ".array_record"  # in the names of the files that hold pictures


def prepare(raw: RawSet, data_dir: Path, manual_dir: Path | None) -> tfds.core.DatasetBuilder:
    """Prepares a data set once, atomically; later calls find it prepared.

    It is prepared anew if `manual_dir` holds other raw files than those that it was made from; of a
    set that is older than records of this, if they hold other pictures.

    Args:
        raw: which.
        data_dir: TFDS's folder of data sets; the set goes to `<name>_arrays/1.0.0` below it.
        manual_dir: where the raw files lie. If None, they are looked for where TFDS and
            operating systems put them, and then downloaded.

    Raises:
        UserError: the files are nowhere to be had, or damaged, or there is no room for them, or
            what is prepared is damaged.
    """
    try:
        folder = Path(data_dir) / f"{raw.name}_arrays" / VERSION
        if not folder.exists() or _outdated(raw, folder, manual_dir):
            _prepare(raw, data_dir, find(raw, data_dir, manual_dir), folder)
    except OSError as error:
        raise UserError(f"Cannot prepare {raw.name} in {data_dir}: {error}.") from error
    return _open(raw, data_dir, folder)


def _outdated(raw: RawSet, folder: Path, manual_dir: Path | None) -> bool:
    paths = raw.locate(manual_dir) if manual_dir else None
    if paths is None:
        return False
    found, made_from = digests(raw, paths), record.made_from(folder)
    return found != made_from if made_from else not _holds(raw, folder, paths)


def _holds(raw: RawSet, folder: Path, paths: Paths) -> bool:
    """Whether a prepared set has the pictures of raw files, in any order."""
    try:
        builder = _open(raw, folder.parents[1], folder)
        prepared = [_sorted(*load(builder, split)) for split in SPLITS]
    except UserError:  # damaged
        return False
    return prepared == [_sorted(*raw.read_split(paths, split)) for split in SPLITS]


def _sorted(images: np.ndarray, labels: np.ndarray) -> list[tuple[int, bytes]]:
    digests = (hashlib.sha256(image.tobytes()).digest() for image in images)
    return sorted(zip(labels.tolist(), digests, strict=True))


def _prepare(raw: RawSet, data_dir: Path, paths: Paths | None, folder: Path) -> None:
    """Prepares a data set beside its folder, and then puts it there."""
    sources = published(raw) if paths is None else digests(raw, paths)
    data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{raw.name}_", dir=data_dir) as beside:
        builder = _builder(raw, Path(beside) / "new", paths)
        builder.download_and_prepare(download_dir=data_dir / "downloads")
        made = Path(builder.data_path)
        record.write(made, sources)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            if record.made_from(folder) == sources:
                return  # another process was faster, which is as good
            folder.rename(Path(beside) / "old")
        made.rename(folder)


def _open(raw: RawSet, data_dir: Path, folder: Path) -> tfds.core.DatasetBuilder:
    """A data set that is prepared.

    Raises:
        UserError: its description is damaged, or it has no pictures.
    """
    record.check(folder, lambda name: RECORDS not in name)
    try:
        builder = _builder(raw, data_dir, None)
        empty = [s for s in SPLITS if s not in builder.info.splits or not _count(builder, s)]
    except Exception as error:  # whatever the reader of a damaged file stumbles over
        raise record.damaged(folder, _line(error)) from error
    if empty:
        raise record.damaged(folder, f"it has no pictures in {' and '.join(empty)}")
    return builder


def _count(builder: tfds.core.DatasetBuilder, split: str) -> int:
    return int(builder.info.splits[split].num_examples)


def load(builder: tfds.core.DatasetBuilder, split: str) -> Arrays:
    """All pictures and labels of a split of a prepared data set.

    Raises:
        UserError: the prepared files are damaged.
    """
    folder = Path(builder.data_path)
    record.check(folder, lambda name: RECORDS in name and split in name)
    try:
        source = builder.as_data_source(split)
        count = len(source)
        chunks = [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
        examples = [example for chunk in chunks for example in source.__getitems__(chunk)]
        images = np.stack([example["image"] for example in examples])
        labels = np.array([example["label"] for example in examples])
    except Exception as error:  # whatever the reader of a damaged file stumbles over
        raise record.damaged(folder, _line(error)) from error
    return images, labels


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def _builder(raw: RawSet, data_dir: Path, paths: Paths | None) -> tfds.core.DatasetBuilder:
    known = {file.url: UrlInfo(file.size, file.sha256, file.name) for file in raw.files}

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
        """The published files as arrays."""

        name = f"{raw.name}_arrays"
        VERSION = tfds.core.Version(VERSION)
        url_infos = known

        def _info(self) -> tfds.core.DatasetInfo:
            features = {
                "image": tfds.features.Tensor(shape=raw.shape, dtype=np.uint8),
                "label": tfds.features.Scalar(dtype=np.int64),
            }
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(features),
                homepage=raw.homepage,
                citation=raw.citation,
            )

        def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
            found = paths or _download(raw, dl_manager)
            return {split: self._generate_examples(found, split) for split in SPLITS}

        def _generate_examples(self, found: Paths, split: str) -> Iterator[tuple[int, Any]]:
            images, labels = raw.read_split(found, split)
            for index, (image, label) in enumerate(zip(images, labels, strict=True)):
                yield index, {"image": image, "label": label}

    return Builder(data_dir=data_dir, file_format="array_record")


def _download(raw: RawSet, dl_manager: tfds.download.DownloadManager) -> Paths:
    try:
        found = dl_manager.download({file.name: file.url for file in raw.files})
    except Exception as error:  # the network fails with many classes, and none is our fault
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"Data set {raw.name!r}: could not download {raw.files[0].url} and the rest "
            f"({type(error).__name__}: {reason}). Try again, or put the files into a folder "
            f"named by manual_dir; {raw.how}."
        ) from error
    return {name: Path(path) for name, path in found.items()}
