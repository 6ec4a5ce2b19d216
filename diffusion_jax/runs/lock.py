"""One training at a time in a run folder."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from diffusion_jax.errors import UserError

LOCK = "lock"


class Locked(UserError):
    """Another process holds the folder."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Makes a folder, and while entered keeps other processes from training in it.

    The lock is the operating system's. It ends with the process, however that ends, so a file left
    by `kill -9` locks nothing. It is on the folder, which nobody deletes by mistake, and on a file
    that names its holder, for network file systems that lock only files. A folder that is empty in
    the end is removed if it was made here.

    Args:
        folder: the run folder.

    Raises:
        Locked: another process trains in it.
        UserError: it cannot be made or written to.
    """
    made = not folder.exists()
    with contextlib.ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _hold_folder(folder, held)
            _hold_file(folder / LOCK, held)
        except OSError as error:
            if folder.is_file():
                raise UserError(f"run_dir {folder} is a file: choose a new folder.") from error
            raise UserError(
                f"Cannot write to the run folder {folder}: {error.strerror}."
            ) from error
        try:
            yield
        finally:
            (folder / LOCK).unlink(missing_ok=True)
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


def _hold_folder(folder: Path, held: contextlib.ExitStack) -> None:
    try:
        number = os.open(folder, os.O_RDONLY)
    except PermissionError:  # some systems open no folders
        return
    held.callback(os.close, number)
    if not _lock(number):
        raise _refusal(folder)


def _hold_file(path: Path, held: contextlib.ExitStack) -> None:
    """Locks the file, and writes into it who does so."""
    while True:
        file = path.open("a+", encoding="utf-8")
        held.callback(file.close)
        if not _lock(file.fileno()):
            raise _refusal(path.parent)
        # The holder before may have removed the file since it was opened here.
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            break
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()


def _refusal(folder: Path) -> Locked:
    try:
        holder = (folder / LOCK).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        holder = ""
    return Locked(
        f"{folder} is being trained by {holder or 'another process'}: wait for it, stop it, or "
        "choose another --config.run_dir."
    )


def _lock(number: int) -> bool:
    """Locks an open file if nobody else has; where there are no such locks, nobody ever has."""
    try:
        import fcntl

        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return True
    return True
