"""Files of a report: written whole or not at all."""

import os
from pathlib import Path

from diffusion_jax.errors import UserError


def save(content: bytes, path: str | Path) -> Path:
    """Writes a file; an older one is replaced only once the new one is whole.

    Args:
        content: the bytes of the file.
        path: where to; folders are made.

    Raises:
        UserError: no room on disk, no permission, or a file stands where a folder should be.
    """
    target = Path(path)
    partial = target.with_name(f"{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        os.replace(partial, target)
    except OSError as error:
        if partial.is_file():
            partial.unlink()
        reason = error.strerror or error
        raise UserError(f"Cannot write {target}: {reason}. Nothing was changed.") from error
    return target
