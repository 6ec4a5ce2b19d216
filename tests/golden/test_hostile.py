"""Recordings that are damaged are told in one line each, and never pass."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.golden import __main__ as command

Arrays = dict[str, np.ndarray]
GRID = np.append(np.linspace(5.0 ** (1 / 7), 0.1 ** (1 / 7), 4) ** 7, 0)


def entry() -> dict[str, Any]:
    return {
        "id": "karras",
        "family": "schedules",
        "file": "grids.npz",
        "prefix": "a/",
        "kwargs": {"name": "karras", "n": 4, "sigma_min": 0.1, "sigma_max": 5.0},
        "arrays": {"sigmas": [[5], "float64"]},
    }


def write(folder: Path, case: Any, arrays: Arrays) -> Path:
    recorded = folder / "k_diffusion"
    recorded.mkdir(parents=True, exist_ok=True)
    (recorded / "index.json").write_text(json.dumps({"cases": [case]}))
    np.savez(recorded / "grids.npz", **arrays)  # type: ignore[arg-type]
    return folder


def told(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, list[str]]:
    """The command's exit status, and its lines."""
    status = command.main([str(folder), *options])
    printed = capsys.readouterr()
    return status, (printed.out + printed.err).strip().splitlines()


def without(case: dict[str, Any], *path: str) -> dict[str, Any]:
    inner = case
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return case


def test_a_sound_recording_passes(tmp_path: Path, capsys) -> None:
    status, lines = told(write(tmp_path, entry(), {"a/sigmas": GRID}), capsys)
    assert (status, lines[-1]) == (0, "1 agree, 0 deliberate, 0 uncovered, 0 differ")


ARRAYS: dict[str, tuple[Arrays, str]] = {
    "no such array": ({"b/sigmas": GRID}, "no array 'a/sigmas'"),
    "another shape than told": ({"a/sigmas": GRID[:4]}, "shape (4,), not (5,)"),
    "not a number": ({"a/sigmas": np.where(GRID > 1, GRID, np.nan)}, "recorded nan"),
    "no numbers at all": ({"a/sigmas": np.array(["a"] * 5)}, "could not convert"),
    "objects": ({"a/sigmas": np.array([None] * 5)}, "cannot be read"),
}


@pytest.mark.parametrize("fault", ARRAYS)
def test_arrays(tmp_path: Path, capsys, fault: str) -> None:
    arrays, why = ARRAYS[fault]
    status, lines = told(write(tmp_path, entry(), arrays), capsys)
    assert (status, lines[-1]) == (1, "0 agree, 0 deliberate, 0 uncovered, 1 differ")
    assert [line for line in lines if line.strip().startswith("differ: ") and why in line]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", None])
def test_a_file_of_arrays(tmp_path: Path, capsys, content: bytes | None) -> None:
    file = write(tmp_path, entry(), {}) / "k_diffusion" / "grids.npz"
    file.unlink() if content is None else file.write_bytes(content)
    status, lines = told(tmp_path, capsys)
    assert status == 1
    assert [line for line in lines if "differ: " in line and "grids.npz" in line]


SETTINGS: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "unknown family": (lambda: entry() | {"family": "spells"}, "uncovered: nothing here checks"),
    "unknown grid": (
        lambda: entry() | {"kwargs": entry()["kwargs"] | {"name": "spiral"}},
        "uncovered: grid 'spiral'",
    ),
    "unknown setting": (
        lambda: entry() | {"kwargs": entry()["kwargs"] | {"swirl": 1}},
        "uncovered: settings that no check looks at: swirl",
    ),
    "refused setting": (
        lambda: entry() | {"kwargs": entry()["kwargs"] | {"rho": -1}},
        "uncovered: the library refuses it: ",
    ),
    "missing setting": (lambda: without(entry(), "kwargs", "n"), "differ: the recording does not"),
    "word for a number": (
        lambda: entry() | {"kwargs": entry()["kwargs"] | {"n": "four"}},
        "differ: the check failed: ",
    ),
}


@pytest.mark.parametrize("fault", SETTINGS)
def test_settings(tmp_path: Path, capsys, fault: str) -> None:
    made, why = SETTINGS[fault]
    status, lines = told(write(tmp_path, made(), {"a/sigmas": GRID}), capsys)
    assert status == 1
    assert len([line for line in lines if why in line]) == 1
    assert lines[-1].startswith("0 agree, 0 deliberate, ")


def test_samplers_and_problems_of_other_names(tmp_path: Path, capsys) -> None:
    case = entry() | {"family": "sampler", "grid": entry()["kwargs"], "kwargs": {}}
    arrays = {"a/sigmas": GRID}
    for told_as in ({"sampler": "sample_magic", "problem": "gmm2"}, {"problem": "gmm9"}):
        status, lines = told(write(tmp_path, case | told_as, arrays), capsys)
        assert status == 1
        assert "Traceback" not in "".join(lines)
        assert lines[-1].startswith("0 agree")


@pytest.mark.parametrize(
    ("index", "why"),
    [
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("{}", "no list of cases"),
        ("[]", "no list of cases"),
        ('{"cases": 3}', "no list"),
        ('{"cases": ["a"]}', "case number 0"),
        (json.dumps({"cases": [without(entry(), "file")]}), "has no 'file'"),
        (json.dumps({"cases": [entry() | {"kwargs": [1]}]}), "'kwargs'"),
        (json.dumps({"cases": [entry() | {"arrays": {"sigmas": 3}}]}), "'arrays'"),
    ],
)
def test_an_index(tmp_path: Path, capsys, index: str, why: str) -> None:
    file = write(tmp_path, entry(), {}) / "k_diffusion" / "index.json"
    file.write_text(index)
    status, lines = told(tmp_path, capsys)
    assert status == 2
    assert len(lines) == 1
    assert why in lines[0] and "index.json" in lines[0]


def test_nothing_to_compare_does_not_pass(tmp_path: Path, capsys) -> None:
    file = write(tmp_path, entry(), {}) / "k_diffusion" / "index.json"
    assert told(tmp_path, capsys, "--only=vdm")[0] == 2
    file.write_text('{"cases": []}')
    assert told(tmp_path, capsys)[0] == 2
