"""Says on the error output how far work is that is done once, on the way to something else."""

import sys
import time

from diffusion_jax.streams import Forgiving

EVERY = 10.0  # seconds between lines


class Telling:
    """Lines that say how far work is: at its start, now and then, and at its end.

    Args:
        title: what is going on.
        total: units of work; None where nobody knows.
        unit: what they are called.
    """

    def __init__(self, title: str, total: int | None, unit: str):
        self._title, self._total, self._unit, self._done = title, total, unit, 0
        self._start = self._said = time.monotonic()
        self._say("begins" if total is None else f"{total:,} {unit}")

    def __call__(self, count: int) -> None:
        """So many more units are done."""
        self._done, now = self._done + count, time.monotonic()
        if self._done == self._total:
            self.end()
        elif now - self._said > EVERY:
            self._said, done = now, f"{self._done:,}"
            if self._total is None:
                self._say(f"{done} {self._unit}")
                return
            left = (now - self._start) / self._done * (self._total - self._done)
            self._say(f"{done} of {self._total:,} {self._unit}, {left:.0f} s left")

    def end(self) -> None:
        """All is done."""
        self._say(f"{self._done:,} {self._unit} done in {time.monotonic() - self._start:.0f} s")

    def _say(self, what: str) -> None:
        print(f"{self._title}: {what}", file=Forgiving(sys.stderr))
