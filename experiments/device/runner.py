"""Does sections in order of importance, within the minutes there are."""

import time
from collections.abc import Callable, Sequence

from experiments.device import record as records
from experiments.device.record import Record
from experiments.device.section import Done, NotReached, Outcome, Section

SMALL_SECONDS = 5.0  # that a section of the small form takes, about


def run(
    sections: Sequence[Section],
    record: Record,
    seconds: float,
    measure: Callable[[Section, float], Outcome],
    store: Callable[[Record], None],
    tell: Callable[[str], None],
    again: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> list[str]:
    """Measures what the record lacks; a section that does not fit any more is passed over.

    Args:
        sections: the most important first.
        record: filled in.
        seconds: to be done within.
        measure: (section, seconds left) -> what came of it.
        store: keeps the record after every section.
        tell: is called with what is being done.
        again: whether those that failed before are tried again.
        clock: seconds.

    Returns:
        The names of those that were not reached.
    """
    deadline, left = clock() + seconds, []
    for section in sections:
        if records.is_settled(record, section.name, again):
            tell(f"{section.name}: there already")
            continue
        start = clock()
        expected = SMALL_SECONDS if record["small"] else section.seconds
        if start + expected > deadline:
            left.append(section.name)
            continue
        form = " (small form)" if record["small"] else ""
        tell(f"{section.name}: {section.title}{form}")
        outcome = measure(section, deadline - start)
        if isinstance(outcome, NotReached):
            left.append(section.name)
            continue
        records.note(record, section.name, outcome, clock() - start)
        store(record)
        if not isinstance(outcome, Done):
            tell(f"{section.name} failed: {outcome.reason}")
    return left
