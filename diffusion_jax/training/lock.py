"""One training at a time in a run folder."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from diffusion_jax.errors import UserError

LOCK = "lock"


class Locked(UserError):
    """Another process holds the folder."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Makes a folder, and while entered keeps other processes from training in it.

    The lock is the operating system's, on a file that names its holder. It ends with the process,
    however that ends, so a file left by `kill -9` locks nothing. A folder that is empty in the
    end is removed if it was made here.

    Args:
        folder: the run folder.

    Raises:
        Locked: another process trains in it.
        UserError: it cannot be made or written to.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _open(folder / LOCK)
    except OSError as error:
        if folder.is_file():
            raise UserError(f"run_dir {folder} is a file: choose a new folder.") from error
        raise UserError(f"Cannot write to the run folder {folder}: {error.strerror}.") from error
    try:
        yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)
        file.close()
        if made:
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()


@contextlib.contextmanager
def waited(folder: Path, pause: float = 0.2) -> Iterator[None]:
    """`locked`, but waits for its turn.

    Args:
        folder: as there.
        pause: seconds between two tries.
    """
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(folder))
                break
            except Locked:
                time.sleep(pause)
        yield


def _open(path: Path) -> IO[str]:
    """The lock's file, open and locked."""
    while True:
        file = path.open("a+", encoding="utf-8")
        if not _lock(file):
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise Locked(
                f"{path.parent} is being trained by {holder}: wait for it, stop it, or choose "
                "another --config.run_dir."
            )
        # The holder before may have removed the file since it was opened here.
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            break
        file.close()
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
    return file


def _lock(file: IO[str]) -> bool:
    """Locks a file if nobody else has; where the system has no such locks, nobody else ever has."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return True
    return True
