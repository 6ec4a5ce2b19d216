"""What a member of a family says of itself: its docstring, its signature and its formula."""

import dataclasses
import inspect
import re
from typing import Any

from diffusion_jax.registry import Registry, settings_of

SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Source|Yields): |>>>")


@dataclasses.dataclass(frozen=True)
class CatalogEntry:
    """A member of a family as a catalog lists it.

    Attributes:
        name: as specs write it.
        settings: with their defaults, as specs write them; `…` where there is no default.
        summary: the first line of its docstring.
        formula: its mathematics in one line; may be empty.
        source: the paper, after "Source:"; may be empty.
    """

    name: str
    settings: str
    summary: str
    formula: str
    source: str


def describe(registry: Registry[Any]) -> list[CatalogEntry]:
    """The entries of all members of a family, by name.

    >>> from diffusion_jax.process.schedules import schedules
    >>> next(entry.settings for entry in describe(schedules) if entry.name == "ve")
    'sigma_min=0.01, sigma_max=50.0'
    """
    return [_entry(name, registry) for name in registry]


def _entry(name: str, registry: Registry[Any]) -> CatalogEntry:
    factory = registry[name]
    paragraphs = _paragraphs(inspect.getdoc(factory) or "")
    source = next((text for text in paragraphs if text.startswith("Source: ")), "")
    return CatalogEntry(
        name,
        ", ".join(_written(*setting) for setting in settings_of(factory).items()),
        next((text for text in paragraphs if not SECTION.match(text)), "").rstrip("."),
        registry.formula(name),
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
