"""Raw files to array records, by TFDS's own machinery, without TensorFlow.

TFDS's stock builders of these sets unpack and encode pictures with TensorFlow. The builder here
downloads the same files with the same checksums through TFDS's download manager, reads them
with NumPy, and stores plain arrays, which TFDS can write and read on its own.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.checksums import UrlInfo

from diffusion_jax.data.real.find import find
from diffusion_jax.data.real.raw import Arrays, Paths, RawSet
from diffusion_jax.errors import UserError

CHUNK = 1000


def prepare(raw: RawSet, data_dir: Path, manual_dir: Path | None) -> tfds.core.DatasetBuilder:
    """Prepares a data set once, atomically; later calls find it prepared.

    Args:
        raw: which.
        data_dir: TFDS's folder of data sets; the set goes to `<name>_arrays/1.0.0` below it.
        manual_dir: where the raw files lie. If None, they are looked for where TFDS and
            operating systems put them, and then downloaded.

    Raises:
        UserError: the files are nowhere to be had, or damaged, or there is no room for them.
    """
    builder = _builder(raw, data_dir, None)
    if builder.data_path.exists():
        return builder
    paths = find(raw, data_dir, manual_dir)
    try:
        _builder(raw, data_dir, paths).download_and_prepare()
    except OSError as error:
        if not builder.data_path.exists():  # else another process was faster, which is as good
            raise UserError(f"Cannot prepare {raw.name} in {data_dir}: {error}.") from error
    return _builder(raw, data_dir, None)


def load(builder: tfds.core.DatasetBuilder, split: str) -> Arrays:
    """All pictures and labels of a split of a prepared data set.

    Raises:
        UserError: the prepared files are damaged.
    """
    try:
        source = builder.as_data_source(split)
        count = len(source)
        chunks = [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
        examples = [example for chunk in chunks for example in source.__getitems__(chunk)]
    except Exception as error:  # whatever the reader of a damaged file stumbles over
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise UserError(
            f"The prepared data set in {builder.data_path} is damaged ({reason}). "
            "Delete that folder; the next run prepares it anew."
        ) from error
    images = np.stack([example["image"] for example in examples])
    return images, np.array([example["label"] for example in examples])


def _builder(raw: RawSet, data_dir: Path, paths: Paths | None) -> tfds.core.DatasetBuilder:
    known = {file.url: UrlInfo(file.size, file.sha256, file.name) for file in raw.files}

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
        """The published files as arrays."""

        name = f"{raw.name}_arrays"
        VERSION = tfds.core.Version("1.0.0")
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

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            found = paths or _download(raw, dl_manager)
            return {split: self._generate_examples(found, split) for split in ("train", "test")}

        def _generate_examples(self, found: Paths, split: str) -> Iterator[tuple[int, Any]]:
            images, labels = raw.read(found, split)
            for index, (image, label) in enumerate(zip(images, labels, strict=True)):
                yield index, {"image": image, "label": label}

    return Builder(data_dir=data_dir, file_format="array_record")


def _download(raw: RawSet, dl_manager: Any) -> Paths:
    try:
        found = dl_manager.download({file.name: file.url for file in raw.files})
    except Exception as error:  # the network has many ways to fail, and none is our fault
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"Data set {raw.name!r}: could not download {raw.files[0].url} and the rest "
            f"({type(error).__name__}: {reason}). Try again, or put the files into a folder "
            f"named by manual_dir; {raw.how}."
        ) from error
    return {name: Path(path) for name, path in found.items()}
