"""Reads and writes of arrays that are still unfinished when one of them has failed."""

import contextlib
import sys
import time
from collections.abc import Iterator

PAUSE = 0.3  # seconds without a complaint after which none is expected


@contextlib.contextmanager
def stragglers_hushed() -> Iterator[None]:
    """While entered, what follows an error of orbax is not reported at length.

    It reads arrays side by side, and leaves at the first error. Each of the others then finds the
    event loop closed and would print a stack trace, up to the end of the process. So the error
    waits for them here.
    """
    before, last = sys.unraisablehook, time.monotonic()

    def hush(unraisable: "sys.UnraisableHookArgs") -> None:
        nonlocal last
        if "Event loop is closed" in str(unraisable.exc_value):
            last = time.monotonic()
        else:
            before(unraisable)

    sys.unraisablehook = hush
    try:
        yield
    except Exception:
        last = time.monotonic()
        while time.monotonic() < last + PAUSE:
            time.sleep(PAUSE / 10)
        raise
    finally:
        sys.unraisablehook = before
