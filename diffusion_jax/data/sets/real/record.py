"""What a prepared data set was made from, and the digests of its files.

{"raw": {name of a raw file: SHA-256}, "files": {name of a file of it: SHA-256}}
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from diffusion_jax.data.sets.real.contents import sha256
from diffusion_jax.errors import UserError
from diffusion_jax.files import save

FILE = "record.json"


def write(folder: Path, raw: Mapping[str, str]) -> None:
    """Writes the record of a folder whose other files are whole."""
    files = {path.name: sha256(path) for path in sorted(folder.iterdir())}
    save(json.dumps({"raw": raw, "files": files}, indent=1) + "\n", folder / FILE)


def made_from(folder: Path) -> dict[str, str]:
    """Raw file -> SHA-256; empty for a folder that is older than records."""
    return _read(folder).get("raw", {})


def check(folder: Path, concerns: Callable[[str], bool]) -> None:
    """Raises UserError if a file that is on record, and whose name is of concern, has changed."""
    for name, digest in _read(folder).get("files", {}).items():
        if concerns(name) and (not (folder / name).is_file() or sha256(folder / name) != digest):
            raise damaged(folder, f"{name} is not as it was written")


def damaged(folder: Path, reason: str) -> UserError:
    """What is said of a prepared data set that cannot be used."""
    return UserError(
        f"The prepared data set in {folder} is damaged ({reason}). "
        "Delete that folder; the next run prepares it anew."
    )


def _read(folder: Path) -> dict[str, dict[str, str]]:
    try:
        found = json.loads((folder / FILE).read_bytes())
        return {name: {str(k): str(v) for k, v in found[name].items()} for name in ("raw", "files")}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise damaged(folder, f"{FILE} cannot be read") from None
