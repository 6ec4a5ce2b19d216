"""Paths that users name, and writing files so that a reader never sees half of one."""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from diffusion_jax.errors import UserError

TEMPORARY = ".tmp"
LONGEST_NAME = 255  # bytes, of a file on nearly every system
SHOWN = 80  # letters of a path that is too long


def user_path(path: str | Path) -> Path:
    """The path that a user means: `~` is the home folder, `~name` that of another user.

    Args:
        path: as it was given; nothing need be there.

    Raises:
        UserError: no file can have that path, or nothing can be looked up there.
    """
    text = str(path)
    shown = repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")
    if "\0" in text:
        raise UserError(f"The path {shown} has a NUL character in it.")
    try:
        found = Path(text).expanduser()
        if any(len(part.encode()) > LONGEST_NAME for part in found.parts):
            raise UserError(f"The path {shown} has a name of more than {LONGEST_NAME} bytes in it.")
        found.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except RuntimeError as error:
        raise UserError(f"The path {shown} begins with a user who has no home folder.") from error
    except UnicodeEncodeError as error:
        raise UserError(f"The path {shown} is not UTF-8 text.") from error
    except OSError as error:
        raise UserError(f"Cannot use the path {shown}: {error.strerror}.") from error
    return found


def check_here() -> None:
    """Raises UserError if the current folder is gone, so that no relative path means anything."""
    try:
        os.getcwd()
    except OSError as error:
        raise UserError("The current folder has been removed: change to another (cd).") from error


def save(content: str | bytes, path: str | Path) -> Path:
    """Writes a file; an older one is replaced, in one step, only once the new one is whole.

    A link stays, and what it leads to is replaced. Devices and pipes are written to.

    Args:
        content: text (as UTF-8) or bytes.
        path: where to; folders are made.

    Returns:
        The path.

    Raises:
        UserError: as for `check_target`, or no room on disk; an older file is as it was.
    """
    target = check_target(path)
    data = content.encode() if isinstance(content, str) else content
    if _takes_a_stream(target):
        _pour(data, target)
    else:
        _replace(data, target)
    return target


def _pour(data: bytes, target: Path) -> None:
    try:
        with open(target, "wb") as file:
            file.write(data)
    except OSError as error:
        raise UserError(f"Cannot write {target}: {error.strerror or error}.") from error


def _replace(data: bytes, target: Path) -> None:
    real = _real(target)
    temporary = _temporary(real)
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, real)
    except OSError as error:
        if temporary.is_file():
            temporary.unlink()
        if is_disk_full(error):
            raise UserError(no_room(target, error=error)) from error
        reason = error.strerror or error
        raise UserError(f"Cannot write {target}: {reason}. Nothing was changed.") from error


def check_target(path: str | Path) -> Path:
    """Returns the path if a file could be written there; asked before work that takes long.

    Raises:
        UserError: a folder or a disk stands there, a file stands where a folder should be, or no
            permission.
    """
    target = user_path(path)
    if _takes_a_stream(target):
        places = [target]
    else:
        real = _real(target)
        _temporary(real)
        nearest = next(parent for parent in real.parents if parent.exists())
        if not nearest.is_dir():
            raise UserError(f"Cannot write {target}: {nearest} is a file, not a folder.")
        places = [nearest, *([real] if real.exists() else [])]
    for place in places:
        if not os.access(place, os.W_OK):
            raise UserError(f"Cannot write {target}: no permission to write {place}.")
    return target


def _takes_a_stream(target: Path) -> bool:
    """Whether a device or a pipe is there, or a link to one, which nothing may replace.

    Raises:
        UserError: it is a disk, or a folder.
    """
    try:
        mode = target.stat().st_mode
    except OSError:
        return False
    if stat.S_ISDIR(mode):
        raise UserError(f"Cannot write {target}: it is a folder; name a file in it.")
    if stat.S_ISBLK(mode):
        raise UserError(f"Cannot write {target}: it is a disk; name a file.")
    return not stat.S_ISREG(mode)


def _real(target: Path) -> Path:
    """Where links lead to."""
    return Path(os.path.realpath(target))


def _temporary(real: Path) -> Path:
    """Where a file is written that will be at `real`; UserError if that name is too long."""
    return user_path(real.with_name(real.name + TEMPORARY))


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

    Raises:
        UserError: the disk is full.
    """
    try:
        yield
    except Exception as error:
        if not is_disk_full(error):
            raise
        message = no_room(path, error=error)  # before anything is removed
        for folder in remnants():
            shutil.rmtree(folder, ignore_errors=True)
        raise UserError(message) from error


def free_room(path: Path) -> int:
    """Bytes that are free where `path` is or will be."""
    return shutil.disk_usage(_existing(path)).free


def _existing(path: Path) -> Path:
    """The folder that is there, and in which `path` is or will be."""
    return next(parent for parent in (path, *path.parents) if parent.is_dir())


def no_room(path: Path, needed: int = 0, error: BaseException | None = None) -> str:
    """One line that says that `path` does not fit, and what is missing.

    Args:
        path: of the file or folder.
        needed: bytes, if known.
        error: what the system said, if it has been asked.
    """
    return f"No room on disk for {path}: {_missing(path, needed, error)}. Nothing was changed."


def _missing(path: Path, needed: int, error: BaseException | None) -> str:
    if "quota" in str(error).lower():
        return "your disk quota is used up"
    if _no_inodes(path):
        return "no inodes are free, of which every file takes one; remove files"
    size = f"{_megabytes(needed)} are needed, " if needed else ""
    return f"{size}{_megabytes(free_room(path))} are free"


def _no_inodes(path: Path) -> bool:
    """Whether the file system has no room for another file, however small."""
    if not hasattr(os, "statvfs"):
        return False
    found = os.statvfs(_existing(path))
    return found.f_files > 0 and found.f_favail == 0  # some systems know no bound and say 0, 0


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
