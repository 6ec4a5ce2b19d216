"""What is said of each picture of a folder, in whichever of the usual ways it is said."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from diffusion_jax.data.sets.web_dataset.index import PICTURES
from diffusion_jax.errors import UserError

FILE = "metadata.jsonl"
FILES = (FILE, "metadata.csv", "metadata.parquet")
Row = tuple[str, dict[str, Any]]
"""Where it is said, for messages, and the fields: `file_name`, `text` or `caption`, `label`."""


def read_rows(folder: Path) -> list[Row]:
    """A row for each picture.

    The first of these that there is: a line of JSON for each in `metadata.jsonl`, a row for each in
    `metadata.csv` or `metadata.parquet`; else all pictures of the folder and of those in it, with
    each line of the text beside a picture (a.txt of a.png) as a caption, and the folder that it
    lies in as its class, which stands for a caption where there is no text.

    Raises:
        UserError: nothing says what pictures show, or a file is not what its name says.
    """
    for name, read in zip(FILES, (_of_json, _of_csv, _of_parquet), strict=True):
        if (folder / name).exists():
            rows = list(read(folder / name))
            if not rows:
                raise UserError(f"{folder / name} names no pictures.")
            return rows
    return _of_names(folder)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UserError(f"Cannot read {path} ({reason}).") from error


def _of_json(path: Path) -> Iterator[Row]:
    """Lines that end with a line feed and nothing else; an empty one is skipped."""
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            where = f"{path}, line {number}"
            yield where, _fields(line, where)


def _fields(line: str, where: str) -> dict[str, Any]:
    try:
        fields = json.loads(line, object_pairs_hook=_unique)
    except RecursionError:
        raise UserError(f"{where}: this is not JSON (it is nested too deeply).") from None
    except ValueError as error:
        raise UserError(f"{where}: this is not JSON ({error}).") from error
    if not isinstance(fields, dict):
        raise UserError(f"{where}: there is no 'file_name'.")
    return fields


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is named twice")
    return fields


def _of_csv(path: Path) -> Iterator[Row]:
    """Rows below one that names the columns; a cell that is empty says nothing."""
    rows = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        names = next(rows, [])
        if len(set(names)) < len(names):
            raise UserError(f"{path}, line 1: a column is named twice.")
        for cells in rows:
            where = f"{path}, line {rows.line_num}"
            if len(cells) > len(names):
                raise UserError(f"{where}: there are {len(cells)} cells for {len(names)} columns.")
            if any(cells):
                yield where, {name: cell for name, cell in zip(names, cells, strict=False) if cell}
    except csv.Error as error:
        raise UserError(f"{path}, line {rows.line_num}: this is not CSV ({error}).") from error


def _of_parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_table(path).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path} is not a Parquet file ({str(error)[:160]}).") from error
    return ((f"{path}, row {number}", row) for number, row in enumerate(found, 1))


def _of_names(folder: Path) -> list[Row]:
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}.")
    pictures = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower().lstrip(".") in PICTURES and path.is_file() and path.name[0] != "."
    )
    grouped = pictures and all(path.parent != folder for path in pictures)
    rows = []
    for path in pictures:
        fields: dict[str, Any] = {"file_name": path.relative_to(folder).as_posix()}
        beside = path.with_suffix(".txt")
        if grouped:
            name = path.parent.relative_to(folder).as_posix()
            fields |= {"label": name, "text": name.replace("_", " ").replace("/", ", ")}
        if beside.exists():
            fields["text"] = [line.strip() for line in _text(beside).splitlines() if line.strip()]
        elif not grouped:
            break
        rows.append((str(path), fields))
    if not pictures:
        raise UserError(f"There is no picture in {folder}, and no {FILE}.")
    if len(rows) < len(pictures):
        raise UserError(
            f"Nothing in {folder} says what {pictures[len(rows)].name} shows: there should be a "
            f'{FILE} with a line like {{"file_name": "a.png", "text": "a red circle"}} for every '
            f"picture, {' or '.join(FILES[1:])} with such columns, a text beside each picture "
            "(a.txt of a.png), or folders whose names are the pictures' classes."
        )
    return rows
