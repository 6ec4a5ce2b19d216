"""Cells of tables, ready for the page: text to read, a number to sort by."""

import dataclasses
import math

from diffusion_jax.reports import formats
from diffusion_jax.statistics.estimate import Estimate


@dataclasses.dataclass(frozen=True)
class Span:
    """A small drawn interval, all in percent of its width.

    Attributes:
        start: left end of the bar.
        width: its width.
        middle: where the dot stands.
    """

    start: float
    width: float
    middle: float


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: what it says.
        key: what it is sorted by: a number, or text.
        aside: smaller text after it, such as an interval.
        span: a drawn interval, or None.
        numeric: whether it is set in columns of digits.
    """

    text: str
    key: str | float
    aside: str = ""
    span: Span | None = None
    numeric: bool = True


NOTHING = Cell(formats.UNKNOWN, "")


def ends_of(estimate: Estimate) -> tuple[float, float]:
    """The ends of an interval; where there is none, the number itself."""
    low, high = estimate.low, estimate.high
    return (estimate.value if low is None else low), (estimate.value if high is None else high)


def extent_of(estimates: list[Estimate | None]) -> tuple[float, float]:
    """The range that the small intervals of a column are drawn on, a little wider than they."""
    ends = [end for estimate in estimates if estimate is not None for end in ends_of(estimate)]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def span_of(estimate: Estimate, start: float, end: float) -> Span:
    """An estimate with its interval, drawn on [start, end]."""
    low, high = ends_of(estimate)
    scale = 100 / (end - start)
    return Span((low - start) * scale, (high - low) * scale, (estimate.value - start) * scale)


def decimals_of(values: list[float]) -> int:
    """Decimals for a column: three digits for its largest number, four if small ones need it."""
    sizes = [abs(value) for value in values if value and math.isfinite(value)]
    if not sizes:
        return 2
    largest, smallest = math.floor(math.log10(max(sizes))), math.floor(math.log10(min(sizes)))
    return max(2 - largest, min(1 - smallest, 3 - largest), 0)


def estimate_cell(
    found: Estimate | None, column: list[Estimate | None], drawn: bool = False
) -> Cell:
    """A number with its interval, in as many decimals as its column needs."""
    if found is None:
        return NOTHING
    decimals = decimals_of([each.value for each in column if each is not None])
    text, ends = formats.fixed(found.value, decimals), formats.fixed_interval(found, decimals)
    return Cell(text, found.value, ends, span_of(found, *extent_of(column)) if drawn else None)


def difference_cell(gap: Estimate, widest: float, decimals: int) -> Cell:
    """A difference with its interval, drawn about zero as far as `widest`."""
    drawn = gap
    if gap.low is not None and gap.high is not None:
        drawn = Estimate(gap.value, max(gap.low, -widest), min(gap.high, widest))
    span = span_of(drawn, -1.04 * widest, 1.04 * widest)
    text, ends = formats.signed(gap.value, decimals), formats.fixed_interval(gap, decimals)
    return Cell(text, gap.value, ends, span)
