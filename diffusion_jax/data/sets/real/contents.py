"""The bytes of raw files: bounded, whole, and the published ones where they claim to be."""

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from pathlib import Path

from diffusion_jax.data.sets.real.raw import Paths, RawSet
from diffusion_jax.errors import UserError

GZIP = b"\x1f\x8b"


def read_whole(path: Path, most: int) -> bytes:
    """The content of a file, unpacked if gzip has packed it.

    It is read to its end, so that gzip's checksum has been compared.

    Args:
        path: of the file.
        most: bytes; nothing beyond them is unpacked.

    Raises:
        UserError: the file cannot be read, is damaged, or holds more.
    """
    try:
        with open(path, "rb") as file:
            packed = file.peek(len(GZIP)).startswith(GZIP)
            content = gzip.GzipFile(fileobj=file).read(most + 1) if packed else file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"Cannot read {path}: {error or 'it is cut short'}.") from error
    if len(content) > most:
        raise UserError(f"Cannot read {path}: it holds more than {most:,} bytes.")
    return content


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digests(raw: RawSet, paths: Paths) -> dict[str, str]:
    """File name -> SHA-256 of raw files, which are compared with the published ones.

    A file of the name and the size of a published one is taken for it. Others are equivalents:
    unpacked, or packed anew.

    Raises:
        UserError: a published file is damaged.
    """
    found = {path.name: sha256(path) for path in paths.values()}
    by_name = {path.name: path for path in paths.values()}
    for file in raw.files:
        path = by_name.get(file.name)
        if path and path.stat().st_size == file.size and found[file.name] != file.sha256:
            raise UserError(
                f"{path} is damaged: it has the size of the published file, and its SHA-256 is "
                f"{found[file.name][:12]}…, not {file.sha256[:12]}…. Fetch it again."
            )
    return found


def published(raw: RawSet) -> Mapping[str, str]:
    """What `digests` gives for the files as they are downloaded."""
    return {file.name: file.sha256 for file in raw.files}
