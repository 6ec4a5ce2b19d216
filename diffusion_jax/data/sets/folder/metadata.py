"""The pictures of a folder with their captions and classes, checked."""

import dataclasses
import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from diffusion_jax.data.sets.folder.rows import read_rows
from diffusion_jax.errors import UserError
from diffusion_jax.words import split_words

CAPTION = ("text", "caption")  # the names under which a caption is found
LONGEST = 1000  # words of a caption


@dataclasses.dataclass(frozen=True)
class Entry:
    """A picture of a folder.

    Attributes:
        path: of the picture.
        captions: what it shows, in one text or several.
        label: the name of its class, if it has one.
    """

    path: Path
    captions: tuple[str, ...]
    label: str = "picture"


def read_metadata(folder: Path) -> tuple[Entry, ...]:
    """The entries of a folder, in the order in which they are said, see `rows.read_rows`.

    Text is UTF-8, with or without a byte order mark. Captions are what stands under `text` and
    under `caption`, each a text or a list of them; what is said twice counts once. A caption has a
    word at least. Labels are all words or all whole numbers, of every line or of none; two may not
    differ in spacing or Unicode's normal form alone, as they would look the same. The names of
    pictures do not lead out of the folder; what lies there may be a symbolic link to anywhere, as
    in folders that are kept by content.

    Raises:
        UserError: nothing says what the pictures show, or a line is wrong; the message names it.
    """
    rows = read_rows(folder)
    labels = _labels((where, fields.get("label")) for where, fields in rows)
    return tuple(
        Entry(_picture(folder, fields, where), _captions(fields, where), label)
        for (where, fields), label in zip(rows, labels, strict=True)
    )


def _picture(folder: Path, fields: dict[str, Any], where: str) -> Path:
    name = fields.get("file_name")
    if not isinstance(name, str):
        raise UserError(f"{where}: there is no 'file_name'.")
    picture = folder / name
    try:
        found = picture.is_file()
    except (OSError, ValueError):  # too long, or with characters that no file's name has
        found = False
    if not found:
        shown = ascii(str(picture)) if len(name) > 250 or not name.isprintable() else picture
        raise UserError(f"{where}: there is no picture {str(shown)[:300]}.")
    top, path = os.path.abspath(folder), os.path.abspath(picture)
    if os.path.commonpath([top, path]) != top:
        raise UserError(f"{where}: {picture} is not within the folder, but is {path}.")
    return picture


def _captions(fields: dict[str, Any], where: str) -> tuple[str, ...]:
    given: list[Any] = []
    for name in CAPTION:
        under = fields.get(name)
        given += under if isinstance(under, list) else [] if under in (None, "") else [under]
    if not given:
        given = [None]
    return tuple(dict.fromkeys(_caption(each, where) for each in given))


def _caption(given: object, where: str) -> str:
    words = split_words(given) if isinstance(given, str) and _is_text(given) else []
    if not isinstance(given, str) or not words:
        raise UserError(f"{where}: there is no caption in words under 'text' or 'caption'.")
    if len(words) > LONGEST:
        raise UserError(f"{where}: the caption has {len(words):,} words, more than {LONGEST:,}.")
    return given


def _is_text(text: str) -> bool:
    """Whether it is made of characters, not of the halves of some."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _labels(given: Iterable[tuple[str, Any]]) -> list[str]:
    """The labels of all lines, each as a class's name."""
    places, labels = zip(*given, strict=True)
    if all(label is None for label in labels):
        return [Entry.label] * len(labels)
    written: dict[str, str] = {}
    for where, label in zip(places, labels, strict=True):
        problem = _problem(label, labels[0])
        first = written.setdefault(_shown(str(label)), str(label))
        if not problem and first != str(label):
            problem = f"the labels {first!r} and {label!r} differ in spacing or normal form alone"
        if problem:
            raise UserError(f"{where}: {problem}.")
    return list(map(str, labels))


def _shown(label: str) -> str:
    """A label as readers see it, in which spacing and the encoding of a letter do not matter."""
    return unicodedata.normalize("NFC", " ".join(label.split()))


def _problem(label: object, first: object) -> str:
    """What keeps a label from being one, the first being such a one; "" if nothing does."""
    if label is None:
        return "there is no 'label', and other lines have one"
    if not isinstance(label, (str, int)) or isinstance(label, bool):
        return f"the label must be a word or a whole number, not {label!r}"[:200]
    if type(label) is not type(first):
        return f"the label {label!r} is a {type(label).__name__}, and the first is not"
    if isinstance(label, str) and not (label.strip() and _is_text(label)):
        return "the label is empty"
    return ""
