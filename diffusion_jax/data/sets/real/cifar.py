"""The binary format of CIFAR-10.

A file is a sequence of records of 3073 bytes: the label, then 1024 red, 1024 green and 1024
blue values, row by row (Krizhevsky 2009, "Learning multiple layers of features from tiny
images", and the data set's page).
"""

import io
import tarfile
from pathlib import Path

import numpy as np

from diffusion_jax.data.sets.real.contents import read_whole
from diffusion_jax.data.sets.real.raw import Arrays, Paths
from diffusion_jax.errors import UserError

ARCHIVE = "cifar-10-binary.tar.gz"
FOLDER = "cifar-10-batches-bin"
FILES = {
    "train": tuple(f"data_batch_{k}.bin" for k in range(1, 6)),
    "test": ("test_batch.bin",),
}
SIDE = 32
RECORD = 1 + 3 * SIDE**2
MOST = 2**28  # bytes; the published archive holds 184 million, unpacked


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
        contents = {str(paths[name]): read_whole(paths[name], MOST) for name in FILES[split]}
    records = np.concatenate([_records(name, content) for name, content in contents.items()])
    planes = records[:, 1:].reshape(-1, 3, SIDE, SIDE)
    return planes.transpose(0, 2, 3, 1), records[:, 0].astype(np.int64)


def _from_archive(path: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    unpacked = io.BytesIO(read_whole(path, MOST))
    try:
        with tarfile.open(fileobj=unpacked, mode="r:") as archive:
            return {f"{name} in {path}": _member(archive, f"{FOLDER}/{name}") for name in names}
    except UserError:
        raise
    except (OSError, KeyError, ValueError, RecursionError, tarfile.TarError) as error:
        reason = str(error).strip("\"'") or type(error).__name__
        raise UserError(f"Cannot read {path}: {reason}.") from error


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    """A file of an archive; links are not followed, and may lead to themselves."""
    member = archive.getmember(name)
    content = archive.extractfile(member) if member.isreg() and member.size <= MOST else None
    if content is None:
        raise ValueError(f"{name} is not a plain file")
    return content.read()


def _records(name: str, content: bytes) -> np.ndarray:
    if not content or len(content) % RECORD:
        raise UserError(
            f"{name} has {len(content)} bytes, not a multiple of {RECORD} as a file of CIFAR-10."
        )
    return np.frombuffer(content, np.uint8).reshape(-1, RECORD)
