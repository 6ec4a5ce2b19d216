"""Sealed JSON: no single change of a byte passes unseen, and what is older is still read."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.sealed import read_lines, read_sealed, save_sealed, seal, sealed_line

DOCUMENT = {
    "seed": 3,
    "arms": {"é": {"rate": 1e-3}},
    "steps": [4, 8],
    "of": None,
    "end": -0.0,
}
ROWS = [{"step": step, "arm": "a", "loss": 0.125 * step} for step in (1, 2)]


def read_document(path: Path) -> Any:
    return read_sealed(path, "delete it")


def read_rows(path: Path) -> Any:
    return read_lines(path, "delete it")


def changes(content: bytes) -> Iterator[bytes]:
    """The content with each bit turned, each byte left out, each a quote or an end of line."""
    for place, byte in enumerate(content):
        others = [byte ^ (1 << bit) for bit in range(8)]
        yield content[:place] + content[place + 1 :]
        for other in {*others, *b'"\n'} - {byte}:
            yield content[:place] + bytes([other]) + content[place + 1 :]


@pytest.mark.parametrize(
    ("write", "read", "saved"),
    [
        (lambda path: save_sealed(DOCUMENT, path), read_document, DOCUMENT),
        (lambda path: path.write_text("".join(map(sealed_line, ROWS))), read_rows, ROWS),
    ],
)
def test_no_change_of_a_byte_changes_what_is_read(
    tmp_path: Path, write: Callable[[Path], Any], read: Callable[[Path], Any], saved: Any
) -> None:
    path = tmp_path / "file"
    write(path)
    content, refused = path.read_bytes(), 0
    for changed in changes(content):
        path.write_bytes(changed)
        with contextlib.suppress(UserError):
            assert read(path) == saved, changed
            continue
        refused += 1
    assert refused > 8 * len(content)  # but for spaces, which say nothing
    path.write_bytes(content)
    assert read(path) == saved


def test_damage_is_told_in_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    path = save_sealed(DOCUMENT, tmp_path / "file.json")
    path.write_text(path.read_text().replace('"seed": 3', '"seed": 4'))
    with pytest.raises(UserError, match=r"file\.json is damaged: delete it \(.*\)\.$") as caught:
        read_document(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="none is damaged: delete it"):
        read_rows(tmp_path / "none")
    path.write_text("[" * 200_000 + "\n")
    for read in (read_document, read_rows):
        with pytest.raises(UserError, match="cannot be read as JSON"):
            read(path)


def test_what_was_never_sealed_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for document in (DOCUMENT, [1, 2], "words", {}):
        path.write_text(json.dumps(document))
        assert read_document(path) == document
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS) + sealed_line({"step": 3}))
    assert read_rows(path) == [*ROWS, {"step": 3}]


def test_sealed_is_plain_json_in_the_order_given(tmp_path: Path) -> None:
    found = json.loads(save_sealed(DOCUMENT, tmp_path / "file").read_text())
    assert list(found) == ["sealed", *DOCUMENT, "checksum"]
    assert seal({"a": 1, "b": 2})["checksum"] != seal({"b": 2, "a": 1})["checksum"]


def test_a_row_that_was_cut_off_is_left_out_and_one_with_a_damaged_end_is_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "file"
    whole = "".join(map(sealed_line, ROWS))
    start = len(sealed_line(ROWS[0]))
    for end in range(start, len(whole) - 1):
        path.write_text(whole[:end])
        assert read_rows(path) == ROWS[:1]
    path.write_text(whole[:-1] + "\x0b")
    with pytest.raises(UserError, match="is damaged"):
        read_rows(path)
