"""Reads the numbers recorded from the authors' code; README.md here says what they are."""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Case:
    """One recorded run: its name, the settings the reference was given, and its arrays."""

    name: str
    kwargs: dict[str, Any]
    problem: str | None
    arrays: dict[str, np.ndarray]

    def __getitem__(self, array: str) -> np.ndarray:
        return self.arrays[array]

    def __repr__(self) -> str:
        return self.name


@functools.cache
def _index(reference: str) -> dict[str, Any]:
    return json.loads((HERE / reference / "index.json").read_text())


@functools.cache
def _file(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        return dict(arrays)


def cases(reference: str, family: str) -> list[Case]:
    """All cases of one family of a reference."""
    found = []
    for entry in _index(reference)["cases"]:
        if entry["family"] == family:
            stored = _file(HERE / reference / entry["file"])
            arrays = {name: stored[entry["prefix"] + name] for name in entry["arrays"]}
            found.append(Case(entry["id"], entry["kwargs"], entry["problem"], arrays))
    return found


def case(reference: str, family: str, name: str) -> Case:
    """One case by name."""
    (found,) = (entry for entry in cases(reference, family) if entry.name == name)
    return found
