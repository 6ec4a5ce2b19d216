"""Where in a tar file each record lies: found once, and kept beside it.

A record is the files of one key, which is a name up to the first dot of its last part: the picture
a/000017.jpg and the texts a/000017.txt and a/000017.json are the record a/000017.
"""

import io
import tarfile
import warnings
from pathlib import Path
from typing import Any, cast

import numpy as np

from diffusion_jax.errors import UserError
from diffusion_jax.files import save

PICTURES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif")
TEXT, JSON, CLASS = "txt", "json", "cls"
ENDING = ".index.npy"  # of the file beside a tar file
PARTS = ("picture", TEXT, JSON, CLASS)
NONE = -1
COMPRESSED = {b"\x1f\x8b": "gzip", b"BZ": "bzip2", b"\xfd7": "xz", b"\x28\xb5": "zstd"}


def index_of(shard: Path) -> np.ndarray:
    """Where each record of a tar file lies, in the order of the file.

    It is read from the file beside the shard, which is made where there is none, or one of another
    state of the shard. Where none can be written, the index is kept in memory, with a warning.

    Args:
        shard: a tar file that is not compressed.

    Returns:
        A structured array, mapped: `key`, and for each of `picture`, `txt`, `json` and `cls` where
        it begins and its size in bytes; -1 where there is none.

    Raises:
        UserError: there is no such file, or it is not one.
    """
    try:
        told = shard.stat()
    except OSError as error:
        raise UserError(f"Cannot read {shard}: {error.strerror}.") from error
    path = Path(f"{shard}{ENDING}")
    kept = _kept(path)
    if kept is not None and _stamp(kept) == (told.st_size, told.st_mtime_ns):
        return kept[1:]
    made = _made(shard, told.st_size, told.st_mtime_ns)
    content = io.BytesIO()
    np.save(content, made, allow_pickle=False)
    try:
        save(content.getvalue(), path)
    except UserError as error:
        warnings.warn(f"The index of {shard} is kept in memory: {error}", stacklevel=2)
        return made[1:]
    kept = _kept(path)
    return made[1:] if kept is None else kept[1:]


def _columns(longest: int) -> list[Any]:
    numbers = [(f"{part}{what}", "<i8") for part in PARTS for what in ("_at", "_size")]
    return [("key", f"S{max(longest, 1)}"), *numbers]


def _kept(path: Path) -> np.ndarray | None:
    """An index as it was written: its first row is the shard's own size and time."""
    try:
        kept = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if kept.ndim != 1 or not len(kept) or kept.dtype.names is None:
        return None
    return kept if list(kept.dtype.names) == [name for name, _ in _columns(1)] else None


def _stamp(index: np.ndarray) -> tuple[int, int]:
    return int(index[0]["picture_at"]), int(index[0]["picture_size"])


def _made(shard: Path, size: int, time: int) -> np.ndarray:
    with shard.open("rb") as file:
        kind = COMPRESSED.get(file.read(2))
    if kind:
        raise UserError(
            f"{shard} is compressed ({kind}), and its records cannot be found by index: unpack it "
            "to a plain tar file first."
        )
    found: dict[str, dict[str, tuple[int, int]]] = {}
    end, reason = 0, ""
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                cast(Any, tar).members.clear()  # else every one is kept in memory
                end = member.offset_data + member.size
                if member.isfile() and end <= size:
                    _note(found, member.name, member.offset_data, member.size)
    except tarfile.TarError as error:
        reason = str(error)
    if reason and not end:
        raise UserError(f"{shard} is not a tar file ({reason}).")
    if reason or not _is_whole(shard, end):
        warnings.warn(
            f"{shard} ends in the middle, or is damaged there: {len(found)} records are before.",
            stacklevel=3,
        )
    keys = [key.encode("utf-8", "surrogateescape") for key in found]
    rows = np.full(len(found) + 1, NONE, np.dtype(_columns(max(map(len, keys), default=1))))
    rows["key"][0] = b""
    rows[0]["picture_at"], rows[0]["picture_size"] = size, time
    for row, (key, parts) in enumerate(zip(keys, found.values(), strict=True), 1):
        rows[row]["key"] = key
        for part, (at, count) in parts.items():
            rows[row][f"{part}_at"], rows[row][f"{part}_size"] = at, count
    return rows


def _is_whole(shard: Path, end: int) -> bool:
    """Whether an empty block follows the last file, as at the end of every tar file."""
    with shard.open("rb") as file:
        file.seek(-(-end // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE)
        return file.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)


def _note(found: dict[str, dict[str, tuple[int, int]]], name: str, at: int, size: int) -> None:
    folder, slash, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    if not stem:  # hidden files, such as ._a.jpg of a Mac
        return
    ending = ending.lower()
    part = "picture" if ending in PICTURES else ending
    parts = found.setdefault(f"{folder}{slash}{stem}", {})
    if part in PARTS:
        parts.setdefault(part, (at, size))
