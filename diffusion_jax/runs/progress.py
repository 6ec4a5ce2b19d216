"""Tells the person who waits what is going on and how long it still takes."""

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, TextIO, cast, runtime_checkable

from diffusion_jax.streams import Forgiving

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar


@runtime_checkable
class Advance(Protocol):
    """Called when work is done, with a note such as "loss 0.12" and how many units it was."""

    def __call__(self, note: str, units: int = 1) -> None: ...


LINES = 10  # per phase, where the output is no terminal


class Progress:
    """Phases of work: bars on a terminal, a line now and then in a log, or nothing.

    >>> with Progress(quiet=True).phase("Training", total=2) as advance:
    ...     advance("loss 0.5")
    """

    def __init__(self, quiet: bool = False, prefix: str = ""):
        self._quiet, self._prefix = quiet, prefix

    def within(self, prefix: str) -> "Progress":
        """The same, of a part of the work, whose name precedes every title."""
        return Progress(self._quiet, f"{self._prefix}{prefix}")

    def say(self, line: str) -> None:
        """Tells one line."""
        if not self._quiet:
            _console().print(f"{self._prefix}{line}", highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def phase(
        self, title: str, total: int, done: int = 0, unit: str = "steps"
    ) -> Iterator[Advance]:
        """A piece of work of `total` units of which `done` are behind us.

        Args:
            title: what is going on, e.g. "Training 3 arms".
            total: units of work.
            done: units done before.
            unit: what they are called.

        Yields:
            A function to call after each unit.
        """
        console, title = _console(), self._prefix + title
        if self._quiet:
            yield lambda note, units=1: None
        elif console.is_terminal:
            with _bar(console) as bar:
                task = bar.add_task(title, total=total, completed=done, note="starting", unit=unit)
                yield lambda note, units=1: bar.update(task, advance=units, note=note)
        else:
            yield _lines(console, title, total, done, unit)


def _console() -> "Console":
    from rich.console import Console

    # Whoever watches may leave without ending the work.
    output = cast(TextIO, Forgiving(sys.stderr))
    return Console(file=output)


def _bar(console: "Console") -> "Bar":
    from rich import progress

    return progress.Progress(
        progress.TextColumn("[bold]{task.description}"),
        progress.BarColumn(),
        progress.TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[unit]}"),
        progress.TimeElapsedColumn(),
        progress.TextColumn("left"),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[note]}"),
        console=console,
        refresh_per_second=4,
        speed_estimate_period=60,
    )


def _lines(console: "Console", title: str, total: int, done: int, unit: str) -> Advance:
    console.print(f"{title}: {done}/{total} {unit}", highlight=False)
    count, first, start = done, done, 0.0

    def advance(note: str, units: int = 1) -> None:
        nonlocal count, first, start
        count += units
        if not start:
            # The first call compiles: it says nothing about the speed of the others.
            first, start = count, time.monotonic()
        elif count == total or count * LINES // total > (count - units) * LINES // total:
            left = (time.monotonic() - start) / (count - first) * (total - count)
            line = f"{title}: {count}/{total} {unit}, {left:.0f} s left"
            console.print(f"{line}, {note}" if note else line, highlight=False, soft_wrap=True)

    return advance
