"""Reads numbers recorded from the authors' code; README.md here says what they are."""

import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).parent / "data"

# What the format itself says of a case; all else is the recording's own.
FORMAT = ("id", "family", "file", "prefix", "problem", "nfe", "err_vs_ode", "arrays")


class Settings(Mapping[str, Any]):
    """The settings that a reference was given, which remember what has been looked at.

    A check that passes without having looked at every setting proves less than it seems to.
    """

    def __init__(self, values: Mapping[str, Any]):
        self._values = values
        self._seen: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        value = self._values[name]
        self._seen.add(name)
        if isinstance(value, dict):
            value = self._values[name] = Settings(value)
        return float(value) if value in ("inf", "-inf") else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)

    def unseen(self) -> list[str]:
        """The settings that nobody has looked at yet, dotted."""
        found = [name for name in self._values if name not in self._seen]
        for name, value in self._values.items():
            if name in self._seen and isinstance(value, Settings):
                found += [f"{name}.{inner}" for inner in value.unseen()]
        return found


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """One recorded run.

    Attributes:
        reference: whose code it was, the name of the folder.
        family: what of it was run.
        name: of the case within its reference.
        problem: which exact distribution stood for the network, if one did.
        kwargs: the settings that the reference was given.
        extra: what else the index says of the case (`sampler`, `schedule`, …).
        nfe: evaluations of the network, where counted.
        stored: the file with its arrays, the prefix of their names there, and the names.
        read: the arrays that have been looked at so far.
    """

    reference: str
    family: str
    name: str
    problem: str | None
    kwargs: Settings
    extra: Settings
    nfe: int | None
    stored: tuple[Path, str, tuple[str, ...]] = dataclasses.field(repr=False)
    read: set[str] = dataclasses.field(default_factory=set, repr=False)

    def __getitem__(self, array: str) -> np.ndarray:
        path, prefix, _ = self.stored
        self.read.add(array)
        return _file(path)[prefix + array]

    def __contains__(self, array: str) -> bool:
        return array in self.stored[2]

    def get(self, array: str, default: Any = None) -> Any:
        """An array, or `default` where the case has none of that name."""
        return self[array] if array in self.stored[2] else default

    def __repr__(self) -> str:
        return f"{self.reference}/{self.family}/{self.name}"


@functools.lru_cache(maxsize=8)
def _file(path: Path) -> Mapping[str, np.ndarray]:
    return np.load(path)


def read(folder: Path) -> list[Case]:
    """All cases of all references that have a folder in `folder`, in the order of their indices."""
    found = []
    for index in sorted(folder.glob("*/index.json")):
        for entry in json.loads(index.read_text())["cases"]:
            found.append(
                Case(
                    reference=index.parent.name,
                    family=entry["family"],
                    name=entry["id"],
                    problem=entry.get("problem"),
                    kwargs=Settings(entry.get("kwargs") or {}),
                    extra=Settings(
                        {k: v for k, v in entry.items() if k not in (*FORMAT, "kwargs")}
                    ),
                    nfe=entry.get("nfe"),
                    stored=(index.parent / entry["file"], entry["prefix"], tuple(entry["arrays"])),
                )
            )
    return found


def cases(reference: str, family: str) -> list[Case]:
    """The committed cases of one family of a reference."""
    return [c for c in read(DATA) if (c.reference, c.family) == (reference, family)]


def case(reference: str, family: str, name: str) -> Case:
    """One committed case by name."""
    (found,) = (c for c in cases(reference, family) if c.name == name)
    return found
