"""Writing files so that a reader never sees half of one."""

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from diffusion_jax.errors import UserError

TEMPORARY = ".tmp"


def save(content: str | bytes, path: str | Path) -> Path:
    """Writes a file; an older one is replaced, in one step, only once the new one is whole.

    Args:
        content: text (as UTF-8) or bytes.
        path: where to; folders are made.

    Returns:
        The path.

    Raises:
        UserError: no room on disk, no permission, or a file stands where a folder should be; an
            older file is as it was.
    """
    target = Path(path)
    temporary = target.with_name(target.name + TEMPORARY)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        if temporary.is_file():
            temporary.unlink()
        if is_disk_full(error):
            raise UserError(no_room(target)) from error
        reason = error.strerror or error
        raise UserError(f"Cannot write {target}: {reason}. Nothing was changed.") from error
    return target


def check_target(path: str | Path) -> Path:
    """Returns the path if a file could be written there; asked before work that takes long.

    Raises:
        UserError: a folder stands there, a file stands where a folder should be, or no permission.
    """
    target = Path(path)
    nearest = next(
        parent for parent in (target.absolute(), *target.absolute().parents) if parent.exists()
    )
    if target.is_dir():
        reason = "it is a folder; name a file in it"
    elif nearest != target.absolute() and not nearest.is_dir():
        reason = f"{nearest} is a file, not a folder"
    elif not os.access(nearest, os.W_OK):
        reason = f"no permission to write {nearest}"
    else:
        return target
    raise UserError(f"Cannot write {target}: {reason}.")


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, of Python or of the library that writes arrays, means a full disk."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return "No space left on device" in str(error) or "Disk quota exceeded" in str(error)


@contextlib.contextmanager
def disk_errors(path: Path, remnants: Callable[[], Iterable[Path]] = tuple) -> Iterator[None]:
    """While entered, a full disk becomes a UserError.

    Args:
        path: what is written.
        remnants: finds the folders that are half-written then, to be removed.
    """
    try:
        yield
    except Exception as error:
        if not is_disk_full(error):
            raise
        message = no_room(path)  # before anything is removed
        for folder in remnants():
            shutil.rmtree(folder, ignore_errors=True)
        raise UserError(message) from error


def free_room(path: Path) -> int:
    """Bytes that are free where `path` is or will be."""
    folder = next(parent for parent in (path, *path.parents) if parent.is_dir())
    return shutil.disk_usage(folder).free


def no_room(path: Path, needed: int = 0) -> str:
    """One line that says that `path` does not fit, and how much room there is."""
    free = free_room(path)
    size = f" {_megabytes(needed)} are needed," if needed else ""
    return f"No room on disk for {path}:{size} {_megabytes(free)} are free. Nothing was changed."


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
