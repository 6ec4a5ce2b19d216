"""JSON that says itself whether it is as it was written.

A sealed document has a mark as its first key and a checksum of all else as its last, so that no
damage in one place can make it look like one that was never sealed. It is still plain JSON. What
was written before there were seals is read as it is.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from diffusion_jax.errors import UserError
from diffusion_jax.files import save
from diffusion_jax.strict_json import to_json

MARK, CHECKSUM = "sealed", "checksum"
DIGITS = 16  # of the checksum, hexadecimal


class Damaged(ValueError):
    """A document that is sealed and does not fit its seal."""


def seal(document: dict[str, Any]) -> dict[str, Any]:
    """The document between its mark and its checksum; numbers that are not finite are null.

    >>> seal({"step": 3})
    {'sealed': True, 'step': 3, 'checksum': 'a76b25b15faff287'}
    """
    plain = json.loads(to_json(document))
    return {MARK: True, **plain, CHECKSUM: checksum(plain)}


def unseal(document: Any) -> Any:
    """What was sealed; what never was, as it is.

    Raises:
        Damaged: it does not fit its seal.

    >>> unseal(seal({"step": 3}))
    {'step': 3}
    """
    if not isinstance(document, dict) or not {MARK, CHECKSUM} & document.keys():
        return document
    plain = {key: value for key, value in document.items() if key not in (MARK, CHECKSUM)}
    if document.get(MARK) is not True or document.get(CHECKSUM) != checksum(plain):
        raise Damaged(
            f"it does not fit its checksum; whoever edits it by hand removes {MARK!r} and "
            f"{CHECKSUM!r}"
        )
    return plain


def checksum(document: Any) -> str:
    """The first digits of the SHA-256 of a document as JSON, whatever its spaces."""
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()[:DIGITS]


def save_sealed(document: dict[str, Any], path: str | Path) -> Path:
    """Writes a document and its seal in one step, as `files.save` does.

    Raises:
        UserError: it cannot be written.
    """
    return save(to_json(seal(document), indent=2), path)


def read_sealed(path: str | Path, remedy: str) -> Any:
    """Reads what `save_sealed` wrote, or what was written before there were seals.

    Args:
        path: of the file.
        remedy: what to do if it is damaged, in half a sentence.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        return unseal(json.loads(Path(path).read_text(encoding="utf-8")))
    except Damaged as error:
        reason = str(error)
    except (OSError, ValueError, RecursionError):
        reason = "it cannot be read as JSON"
    raise UserError(f"{path} is damaged: {remedy} ({reason}).")


def sealed_line(row: dict[str, Any]) -> str:
    """A sealed row of a file of JSON lines."""
    return to_json(seal(row))


def read_lines(path: str | Path, remedy: str) -> list[dict[str, Any]]:
    """Reads a file of sealed rows.

    A last row that was cut off while it was written is left out.

    Args:
        path: of the file.
        remedy: what to do if it is damaged, in half a sentence.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        *lines, rest = Path(path).read_text(encoding="utf-8").split("\n")
        rows = [unseal(json.loads(line)) for line in (*lines, *_whole(rest))]
        if all(isinstance(row, dict) for row in rows):
            return rows
        reason = "a line of it is no row"
    except Damaged as error:
        reason = str(error)
    except (OSError, ValueError, RecursionError):
        reason = "a line of it cannot be read as JSON"
    raise UserError(f"{path} is damaged: {remedy} ({reason}).")


def _whole(rest: str) -> list[str]:
    """What follows the last end of a line, if it is more than the beginning of a row.

    With the end of its line damaged, a row is whole and something follows it.
    """
    try:
        json.JSONDecoder().raw_decode(rest)
    except (ValueError, RecursionError):
        return []
    return [rest]
