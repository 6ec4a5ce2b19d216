"""Seconds on a device: warmed up, waited for, several rounds."""

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Sequence

ROUNDS = 5
ROUND_SECONDS = 0.4  # that a round lasts at least, so that starting and waiting do not count
MOST = 500  # times in a round


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of one piece of work.

    Attributes:
        first: of the first time, in which programs are compiled or read.
        times: that it was done in each round.
        rounds: seconds of one time, by round.
    """

    first: float
    times: int
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Seconds of one time."""
        return statistics.median(self.rounds)

    def figures(self) -> dict[str, float]:
        """As they stand in the file."""
        return {
            "seconds": self.median,
            "least": min(self.rounds),
            "most": max(self.rounds),
            "first": self.first,
            "times": self.times,
        }


def timed(work: Callable[[int], object], small: bool = False) -> Timing:
    """Times work.

    Args:
        work: does something so many times, and returns once all is done on the device.
        small: three rounds of one time each.
    """
    (timing,) = in_turn([lambda count: seconds_of(work, count)], small)
    return timing


def in_turn(works: Sequence[Callable[[int], float]], small: bool = False) -> list[Timing]:
    """Times several variants of one piece of work, A B A B …, as often in each round.

    Args:
        works: each does it so many times, and returns the seconds that took.
        small: three rounds of one time each.
    """
    first = [work(1) for work in works]
    slowest = max([work(2) / 2 for work in works])
    times = 1 if small else min(max(math.ceil(ROUND_SECONDS / slowest), 1), MOST)
    rounds = [[work(times) / times for work in works] for _ in range(3 if small else ROUNDS)]
    return [
        Timing(start, times, tuple(own))
        for start, own in zip(first, zip(*rounds, strict=True), strict=True)
    ]


def seconds_of(work: Callable[[int], object], count: int) -> float:
    """Wall-clock seconds of doing work so many times."""
    start = time.perf_counter()
    work(count)
    return time.perf_counter() - start


def ratio(others: Timing, ours: Timing) -> dict[str, float]:
    """How many times as long the others take: median, least and most of the rounds."""
    ratios = [a / b for a, b in zip(others.rounds, ours.rounds, strict=True)]
    return {"ratio": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}
