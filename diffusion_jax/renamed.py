"""Names that config fields and settings had in earlier versions.

An old name is answered with the new one. Run folders are read with their old names translated,
and their checksums are made of the names that fields had first, so that they last.
"""

import re
from collections.abc import Mapping
from typing import Any

FIELDS = {"times": "time_sampler", "text": "conditioner", "headline_count": "judged_count"}
"""Old name of a config field, without its section -> new name."""

SETTINGS = {
    member: {"times": "time_sampler"} for member in ("antithetic", "loss_aware", "low_discrepancy")
}
"""Member of a family -> old name of a setting of its -> new name."""


DEEPEST = 4  # a config, its arms, an arm, a section of it


def hint(word: str, names: Mapping[str, str]) -> str:
    """A sentence that says what something is called now; empty if it was not renamed.

    >>> hint("times", FIELDS)
    " It is now called 'time_sampler'."
    """
    return f" It is now called {names[word]!r}." if word in names else ""


def translated(plain: Mapping[str, Any]) -> dict[str, Any]:
    """A config as plain data, its sections and arms included, with today's names.

    >>> translated({"times": "antithetic(times=uniform)", "arms": {"a": {"times": "uniform"}}})
    {'time_sampler': 'antithetic(time_sampler=uniform)', 'arms': {'a': {'time_sampler': 'uniform'}}}
    """
    return _today(plain, DEEPEST)


def first_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Fields by their full names, and their specs, with the names that they had first.

    >>> first_names({"arms.edm.time_sampler": "antithetic(time_sampler=uniform)"})
    {'arms.edm.times': 'antithetic(times=uniform)'}
    """
    first = {new: old for old, new in FIELDS.items()}

    def name(field: str) -> str:
        section, dot, last = field.rpartition(".")
        return f"{section}{dot}{first.get(last, last)}"

    return {name(field): _first(value) for field, value in settings.items()}


def _today(value: Any, deeper: int) -> Any:
    if isinstance(value, Mapping) and deeper:
        return {FIELDS.get(key, key): _today(each, deeper - 1) for key, each in value.items()}
    return _renamed(value, SETTINGS)


def _first(value: Any) -> Any:
    back = {member: {new: old for old, new in names.items()} for member, names in SETTINGS.items()}
    return _renamed(value, back)


def _renamed(value: Any, settings: Mapping[str, Mapping[str, str]]) -> Any:
    """A spec with other names for some settings, and else to the letter as it was."""
    if isinstance(value, str):
        for member, names in settings.items():
            for old, new in names.items():
                value = re.sub(rf"\b({member}\([^()]*?)\b{old}(?=\s*=)", rf"\g<1>{new}", value)
    return value
