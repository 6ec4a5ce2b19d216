"""Writing files so that a reader never sees half of one."""

import errno
import os
import shutil
from pathlib import Path

from diffusion_jax.errors import UserError

TEMPORARY = ".tmp"


def write_atomically(path: Path, text: str) -> None:
    """Replaces the file at `path` by one that holds `text`, in one step.

    Raises:
        UserError: no room on disk; the file is as it was.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if is_disk_full(error):
            raise UserError(no_room(path)) from error
        raise


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, of Python or of the library that writes arrays, means a full disk."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return "No space left on device" in str(error) or "Disk quota exceeded" in str(error)


def no_room(path: Path, needed: int = 0) -> str:
    """One line that says that `path` does not fit, and how much room there is."""
    folder = next(parent for parent in (path, *path.parents) if parent.is_dir())
    free = shutil.disk_usage(folder).free
    size = f" {_megabytes(needed)} are needed," if needed else ""
    return f"No room on disk for {path}:{size} {_megabytes(free)} are free. Nothing was changed."


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
