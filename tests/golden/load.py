"""Reads numbers recorded from the authors' code; README.md here says what they are."""

import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Never

import numpy as np

DATA = Path(__file__).parent / "data"

# What the format itself says of a case; all else is the recording's own.
FORMAT = ("id", "family", "file", "prefix", "problem", "nfe", "err_vs_ode", "arrays")

# What every case says of itself, and as what.
REQUIRED = {"id": str, "family": str, "file": str, "prefix": str, "arrays": dict}


class Damaged(Exception):
    """A recording that cannot be read, or does not hold what its index says; in one line."""


class NotGiven(KeyError):
    """A setting that a case does not give and that has no default."""

    def __str__(self) -> str:
        return f"the recording does not give {self.args[0]!r}"


class Settings(Mapping[str, Any]):
    """The settings that a reference was given, which remember what has been looked at.

    A check that passes without having looked at every setting proves less than it seems to.
    """

    def __init__(self, values: Mapping[str, Any]):
        self._values = values
        self._seen: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            raise NotGiven(name)
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

    def groups(self) -> "Settings":
        """Those that are settings themselves."""
        groups = {k: v for k, v in self._values.items() if v and isinstance(v, (dict, Settings))}
        found = Settings(groups)
        found._seen = self._seen
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
        stored: the file with its arrays, the prefix of their names there, and the names with the
            shape of each.
        read: the arrays that have been looked at so far.
    """

    reference: str
    family: str
    name: str
    problem: str | None
    kwargs: Settings
    extra: Settings
    nfe: int | None
    stored: tuple[Path, str, Mapping[str, tuple[int, ...]]] = dataclasses.field(repr=False)
    read: set[str] = dataclasses.field(default_factory=set, repr=False)

    def __getitem__(self, array: str) -> np.ndarray:
        path, prefix, shapes = self.stored
        self.read.add(array)
        stored = _file(path)
        if prefix + array not in stored:
            raise Damaged(f"{path.name} has no array {prefix + array!r}")
        try:
            found = stored[prefix + array]
        except Exception as error:
            _refuse(path, error, f"array {prefix + array!r}")
        if found.shape != shapes.get(array, found.shape):
            raise Damaged(f"array {array!r} has shape {found.shape}, not {shapes[array]} as told")
        return found

    def unseen(self) -> list[str]:
        """The settings that nobody has looked at, dotted; of `extra` those that come in groups."""
        return self.kwargs.unseen() + self.extra.groups().unseen()

    def __contains__(self, array: str) -> bool:
        return array in self.stored[2]

    def get(self, array: str, default: Any = None) -> Any:
        """An array, or `default` where the case has none of that name."""
        return self[array] if array in self.stored[2] else default

    def __repr__(self) -> str:
        return f"{self.reference}/{self.family}/{self.name}"


def one_line(error: BaseException) -> str:
    """What an error says, in its first line, not too long."""
    said = str(error).strip().splitlines()
    return said[0][:200] if said else type(error).__name__


def _refuse(path: Path, error: Exception, what: str = "it") -> Never:
    raise Damaged(f"{path}: {what} cannot be read: {one_line(error)}") from error


@functools.lru_cache(maxsize=8)
def _file(path: Path) -> Mapping[str, np.ndarray]:
    try:
        stored = np.load(path)
    except Exception as error:
        _refuse(path, error)
    if not isinstance(stored, Mapping):
        raise Damaged(f"{path} is no archive of arrays")
    return stored


def read(folder: Path) -> list[Case]:
    """All cases of all references that have a folder in `folder`, in the order of their indices.

    Raises:
        Damaged: an index that is none.
    """
    indices = sorted(folder.glob("*/index.json"))
    return [_case(index, place, entry) for index in indices for place, entry in _entries(index)]


def _entries(index: Path) -> Iterator[tuple[int, Any]]:
    try:
        cases = json.loads(index.read_text())["cases"]
    except (KeyError, TypeError):
        raise Damaged(f"{index}: it has no list of cases") from None
    except (OSError, ValueError, RecursionError) as error:
        _refuse(index, error)
    if not isinstance(cases, list):
        raise Damaged(f"{index}: its cases are no list")
    return enumerate(cases)


def _case(index: Path, place: int, entry: Any) -> Case:
    """The case that an entry of an index describes."""
    where = f"{index}: case number {place}"
    if not isinstance(entry, dict):
        raise Damaged(f"{where} is no table of its settings")
    for name, kind in REQUIRED.items():
        if not isinstance(entry.get(name), kind):
            raise Damaged(f"{where} has no {name!r}")
    kwargs = entry.get("kwargs") or {}
    if not isinstance(kwargs, dict):
        raise Damaged(f"{where}: its 'kwargs' are no table of settings")
    try:
        shapes = {name: tuple(about[0]) for name, about in entry["arrays"].items()}
    except (LookupError, TypeError):
        raise Damaged(f"{where}: its 'arrays' do not each tell a shape and a type") from None
    return Case(
        reference=index.parent.name,
        family=entry["family"],
        name=entry["id"],
        problem=entry.get("problem"),
        kwargs=Settings(kwargs),
        extra=Settings({k: v for k, v in entry.items() if k not in (*FORMAT, "kwargs")}),
        nfe=entry.get("nfe"),
        stored=(index.parent / entry["file"], entry["prefix"], shapes),
    )


def cases(reference: str, family: str) -> list[Case]:
    """The committed cases of one family of a reference."""
    return [c for c in read(DATA) if (c.reference, c.family) == (reference, family)]


def case(reference: str, family: str, name: str) -> Case:
    """One committed case by name."""
    (found,) = (c for c in cases(reference, family) if c.name == name)
    return found
