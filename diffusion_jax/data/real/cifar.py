"""The binary format of CIFAR-10.

A file is a sequence of records of 3073 bytes: the label, then 1024 red, 1024 green and 1024
blue values, row by row (Krizhevsky 2009, "Learning multiple layers of features from tiny
images", and the data set's page).
"""

import tarfile
from pathlib import Path

import numpy as np

from diffusion_jax.data.real.raw import Arrays, Paths
from diffusion_jax.errors import UserError

ARCHIVE = "cifar-10-binary.tar.gz"
FOLDER = "cifar-10-batches-bin"
FILES = {
    "train": tuple(f"data_batch_{k}.bin" for k in range(1, 6)),
    "test": ("test_batch.bin",),
}
SIDE = 32
RECORD = 1 + 3 * SIDE**2


def locate(folder: Path) -> Paths | None:
    """The six files in a folder or in its `cifar-10-batches-bin`, or else the archive."""
    names = [name for names in FILES.values() for name in names]
    for place in (folder, folder / FOLDER):
        if all((place / name).is_file() for name in names):
            return {name: place / name for name in names}
    archive = folder / ARCHIVE
    return {ARCHIVE: archive} if archive.is_file() else None


def read(paths: Paths, split: str) -> Arrays:
    """The pictures (n, 32, 32, 3) and labels of a split, "train" or "test".

    Raises:
        UserError: a file is missing or damaged.
    """
    if ARCHIVE in paths:
        contents = _from_archive(paths[ARCHIVE], FILES[split])
    else:
        contents = {str(paths[name]): paths[name].read_bytes() for name in FILES[split]}
    records = np.concatenate([_records(name, content) for name, content in contents.items()])
    planes = records[:, 1:].reshape(-1, 3, SIDE, SIDE)
    return planes.transpose(0, 2, 3, 1), records[:, 0].astype(np.int64)


def _from_archive(path: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    contents = {}
    try:
        with tarfile.open(path) as archive:
            for name in names:
                member = archive.extractfile(f"{FOLDER}/{name}")
                contents[f"{name} in {path}"] = member.read() if member else b""
    except (OSError, EOFError, KeyError, tarfile.TarError) as error:
        raise UserError(f"Cannot read {path}: {error}.") from error
    return contents


def _records(name: str, content: bytes) -> np.ndarray:
    if not content or len(content) % RECORD:
        raise UserError(
            f"{name} has {len(content)} bytes, not a multiple of {RECORD} as a file of CIFAR-10."
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    if records[:, 0].max() > 9:
        raise UserError(f"{name} has labels above 9; it is not a file of CIFAR-10.")
    return records
