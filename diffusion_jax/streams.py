"""Standard output and error that never end a program: who listens may leave at any time."""

import errno
import io
import os
import sys
from typing import Any

GONE = (errno.EPIPE, errno.EIO)  # the reader of a pipe, or the terminal, has left


class Forgiving:
    """A text stream whose failures to write are no errors.

    Characters that its encoding lacks become question marks. Once nothing can be written, all
    that follows is dropped; a cause other than that nobody listens is reported on standard error.

    Args:
        stream: a text file; None, which Python has for a closed one, is nowhere.

    >>> Forgiving(sys.stdout).write("")
    0
    """

    def __init__(self, stream: Any):
        self._stream = stream or io.StringIO()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes what can be written; says that it was all."""
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding
            self.write(text.encode(encoding, "replace").decode(encoding))
        except (OSError, ValueError) as error:  # ValueError: the file has been closed
            self._drop(error)
        return len(text)

    def flush(self) -> None:
        """Flushes what can be flushed."""
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._drop(error)

    def _drop(self, error: Exception) -> None:
        """Sends what is still buffered, and what follows, to nowhere."""
        try:
            number = self._stream.fileno()
        except (OSError, ValueError):  # no file of the system's
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
        if isinstance(error, OSError) and error.errno not in GONE and number != 2:
            print(f"Cannot write all that is printed: {error.strerror}.", file=sys.stderr)


def keep_writing() -> None:
    """Makes standard output and error forgiving; for commands, before they write anything.

    Where one of the three standard files is closed, nothing else may get its number: what is
    printed would end up in, say, a checkpoint.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for name in ("stdout", "stderr"):
        setattr(sys, name, Forgiving(getattr(sys, name)))
