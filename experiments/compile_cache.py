"""The cache of compiled programs, by which a second start takes seconds; it mends itself.

An entry that was cut off or damaged is compiled anew. JAX then warns, at every start, and leaves
the entry as it is; here it is removed, so that JAX writes it again.
"""

import os
import re
import sys
import warnings
from pathlib import Path
from typing import Any

UNREADABLE = re.compile(r"Error reading persistent compilation cache entry for '([^'/]+)'")


def set_up() -> None:
    """Sets the cache of this process, unless the environment says otherwise, and minds it.

    Call it before JAX is imported.
    """
    folder = os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.abspath(".cache/jax"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    show, reported = warnings.showwarning, False

    def show_others(message: Warning | str, *where: Any, **more: Any) -> None:
        nonlocal reported
        if not remove_unreadable(Path(folder), str(message)):
            show(message, *where, **more)
        elif not reported:
            reported = True
            print(f"Damaged programs in {folder} are compiled anew.", file=sys.stderr)

    warnings.showwarning = show_others


def remove_unreadable(folder: Path, message: str) -> bool:
    """Removes the entries that a warning is about; whether it is about any.

    Args:
        folder: of the cache.
        message: the warning, which names a program, of which there may be several entries.
    """
    found = UNREADABLE.match(message)
    if found is None:
        return False
    for path in folder.glob(f"{found[1]}-*"):
        path.unlink(missing_ok=True)
    return True
