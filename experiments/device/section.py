"""One thing that is measured."""

import dataclasses
from collections.abc import Callable
from typing import Any

Figures = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Section:
    """A measurement with a name and what it is expected to cost.

    Attributes:
        name: in the file and on the command line.
        title: what it measures, in words.
        seconds: that it takes on an H100 or the like, about, with its start and compilation.
        measure: small form or not -> what was found, JSON-able; runs in a process of its own.
    """

    name: str
    title: str
    seconds: float
    measure: Callable[[bool], Figures]


@dataclasses.dataclass(frozen=True)
class Done:
    """A section was measured.

    Attributes:
        figures: what it found.
    """

    figures: Figures


@dataclasses.dataclass(frozen=True)
class Failed:
    """A section could not be measured, and would not be if it were tried again.

    Attributes:
        reason: in one line.
    """

    reason: str


@dataclasses.dataclass(frozen=True)
class NotReached:
    """The minutes were over before a section was."""


Outcome = Done | Failed | NotReached
