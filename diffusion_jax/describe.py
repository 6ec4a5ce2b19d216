"""What a member of a family says of itself: read from its docstring and its signature."""

import dataclasses
import inspect
import re
from collections.abc import Callable
from typing import Any

from diffusion_jax.registry import Registry, settings_of

SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Source|Yields): |>>>")


@dataclasses.dataclass(frozen=True)
class Entry:
    """A member of a family as a catalog lists it.

    Attributes:
        name: as specs write it.
        settings: with their defaults, as specs write them; `…` where there is no default.
        summary: the first line of its docstring.
        formula: the first sentence after it that holds an equation; may be empty.
        source: the paper, after "Source:"; may be empty.
    """

    name: str
    settings: str
    summary: str
    formula: str
    source: str


def describe(registry: Registry[Any]) -> list[Entry]:
    """The entries of all members of a family, by name.

    >>> from diffusion_jax.process.schedules import schedules
    >>> next(entry.settings for entry in describe(schedules) if entry.name == "ve")
    'sigma_min=0.01, sigma_max=50.0'
    """
    return [_entry(name, registry[name]) for name in registry]


def _entry(name: str, factory: Callable[..., Any]) -> Entry:
    paragraphs = _paragraphs(inspect.getdoc(factory) or "")
    # Without what follows the mathematics: settings, errors, examples.
    said = [text for text in paragraphs if not SECTION.match(text)]
    sentences = [part for text in said[1:] for part in re.split(r"(?<!\d)\. (?=[A-Z])", text)]
    formula = next((text for text in sentences if " = " in text), "")
    source = next((text for text in paragraphs if text.startswith("Source: ")), "")
    return Entry(
        name,
        ", ".join(_written(*setting) for setting in settings_of(factory).items()),
        said[0].rstrip(".") if said else "",
        formula.rstrip(":,."),
        source.removeprefix("Source: ").rstrip("."),
    )


def _paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip()]


def _written(name: str, parameter: inspect.Parameter) -> str:
    default = parameter.default
    if default is inspect.Parameter.empty:
        return f"{name}=…"
    # A part of its own, e.g. an inner schedule, is named after its class.
    literal = isinstance(default, (int, float, str, tuple, type(None)))
    return f"{name}={default if literal else type(default).__name__}"
