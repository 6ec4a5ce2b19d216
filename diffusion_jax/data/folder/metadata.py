"""The ImageFolder convention: a line of JSON for every picture of a folder.

{"file_name": "birds/0001.png", "text": "a robin on a branch"}
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from diffusion_jax.errors import UserError

FILE = "metadata.jsonl"
CAPTION = ("text", "caption")  # the names under which a caption is found


@dataclasses.dataclass(frozen=True)
class Entry:
    """A picture of a folder.

    Attributes:
        path: of the picture.
        caption: what it shows.
        label: the name of its class, if the metadata has a field `label`.
    """

    path: Path
    caption: str
    label: str = "picture"


def read_metadata(folder: Path) -> tuple[Entry, ...]:
    """The entries of a folder's metadata.jsonl, in its order.

    Raises:
        UserError: the file is missing or empty, or one of its lines is wrong; the message
            names the line.
    """
    path = folder / FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"Cannot read {path} ({getattr(error, 'strerror', None) or 'it is not UTF-8 text'}). "
            "It should hold a line like "
            '{"file_name": "a.png", "text": "a red circle"} for every picture.'
        ) from error
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not numbered:
        raise UserError(f"{path} names no pictures.")
    return tuple(_entry(folder, line, f"{path}, line {number}") for number, line in numbered)


def _entry(folder: Path, line: str, where: str) -> Entry:
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where}: this is not JSON ({error}).") from error
    if not isinstance(fields, dict) or not isinstance(fields.get("file_name"), str):
        raise UserError(f"{where}: there is no 'file_name'.")
    caption = _caption(fields)
    if caption is None:
        raise UserError(f"{where}: there is no caption in words under 'text' or 'caption'.")
    picture = folder / fields["file_name"]
    if not picture.is_file():
        raise UserError(f"{where}: there is no picture {picture}.")
    return Entry(picture, caption, str(fields.get("label", Entry.label)))


def _caption(fields: dict[str, Any]) -> str | None:
    captions = [fields[name] for name in CAPTION if name in fields]
    good = [caption for caption in captions if isinstance(caption, str) and caption.strip()]
    return good[0] if good else None
