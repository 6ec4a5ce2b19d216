"""Forest plots: one row per arm, its difference from the baseline as a dot on its interval.

Rows stand in groups of their own, so the page's script can sort them and leave some out.
"""

import dataclasses
from collections.abc import Sequence
from html import escape

from diffusion_jax.reports import axes, formats, style

WIDTH, TOP, ROW = 980, 66, 22
NAME, LEFT, RIGHT = 252, 266, 596
MOST_LETTERS = 32
REACH = 3.0  # intervals are cut at this multiple of the greatest difference


@dataclasses.dataclass(frozen=True)
class ForestRow:
    """One arm.

    Attributes:
        arm: its index; sets its colour.
        name: its name.
        difference: from the baseline.
        low: lower end of the interval, or None.
        high: upper end.
        finding: what may be said of it, in a word or two.
        apart: whether it is called better or worse than the baseline; its dot is filled.
    """

    arm: int
    name: str
    difference: float
    low: float | None
    high: float | None
    finding: str
    apart: bool


def forest(
    title: str, label: str, toward: tuple[str, str], rows: Sequence[ForestRow], decimals: int
) -> str:
    """A forest plot as an `<svg>` element.

    Args:
        title: read out by screen readers.
        label: what the horizontal axis measures.
        toward: words for what lies left and right of zero.
        rows: the arms, from top to bottom.
        decimals: with which numbers are written.

    >>> row = ForestRow(1, "edm", -0.2, -0.3, -0.1, "better", True)
    >>> forest("Differences", "loss", ("better", "worse"), [row], 1).count("forest-row")
    1
    """
    most = max((abs(row.difference) for row in rows), default=1.0) or 1.0
    bound = REACH * most
    ends = [end for row in rows for end in (row.low, row.high) if end is not None]
    shown = [0.0, *(row.difference for row in rows), *(min(max(e, -bound), bound) for e in ends)]
    axis = axes.linear(label, shown, count=6)
    height = TOP + ROW * len(rows) + 8
    body = [_frame(axis, toward, ROW * len(rows))]
    body += [_row(row, axis, TOP + ROW * place, decimals) for place, row in enumerate(rows)]
    return (
        f'<svg class="chart forest" role="img" viewBox="0 0 {WIDTH} {height}" data-top="{TOP}" '
        f'data-pitch="{ROW}" aria-label="{escape(title)}. The table holds the numbers.">'
        f"{''.join(body)}</svg>"
    )


def _across(axis: axes.Axis, value: float) -> float:
    return LEFT + axis.position(value) * (RIGHT - LEFT)


def _frame(axis: axes.Axis, toward: tuple[str, str], height: int) -> str:
    """Axis above, so that the number of rows may change below it; the lines stretch with them."""
    zero = _across(axis, 0.0)
    middle = (LEFT + RIGHT) / 2
    parts = [
        f'<text class="axis-label" x="{middle}" y="11" text-anchor="middle">'
        f"{escape(axis.label)}</text>",
        f'<text class="side" x="{zero - 8:.1f}" y="30" text-anchor="end">'
        f"\N{LEFTWARDS ARROW} {escape(toward[0])}</text>",
        f'<text class="side" x="{zero + 8:.1f}" y="30">'
        f"{escape(toward[1])} \N{RIGHTWARDS ARROW}</text>",
    ]
    lines = []
    for tick in axis.ticks:
        across = _across(axis, tick)
        kind = "zero" if abs(tick) < 1e-12 else "grid"
        lines.append(f'<path class="{kind}" d="M{across:.1f} 0V1"/>')
        parts.append(
            f'<text class="tick" x="{across:.1f}" y="{TOP - 14}" text-anchor="middle">'
            f"{escape(axis.text(tick))}</text>"
        )
    parts.append(
        f'<svg class="lines" x="0" y="{TOP - 8}" width="{WIDTH}" height="{height + 8}" '
        f'viewBox="0 0 {WIDTH} 1" preserveAspectRatio="none">{"".join(lines)}</svg>'
    )
    return "".join(parts)


def _row(row: ForestRow, axis: axes.Axis, top: float, decimals: int) -> str:
    y = ROW / 2
    short = _short(row.name)
    ends = ""
    if row.low is not None and row.high is not None:
        ends = f" ({formats.fixed(row.low, decimals)} to {formats.fixed(row.high, decimals)})"
    said = f"{formats.signed(row.difference, decimals)}{ends}"
    kind = "mark apart" if row.apart else "mark"
    return (
        f'<g class="series forest-row {style.css_class(row.arm)}" data-arm="{row.arm}" '
        f'transform="translate(0 {top})"><title>{escape(f"{row.name}: {said}, {row.finding}")}'
        f'</title><text class="name" x="{NAME}" y="{y + 4}" text-anchor="end">{escape(short)}'
        f"</text>{_interval(row, axis, y)}"
        f'<circle class="{kind}" cx="{_across(axis, row.difference):.1f}" cy="{y}" r="4"/>'
        f'<text x="{RIGHT + 16}" y="{y + 4}">{escape(said)}</text>'
        f'<text class="finding" x="{WIDTH}" y="{y + 4}" text-anchor="end">{escape(row.finding)}'
        "</text></g>"
    )


def _short(name: str) -> str:
    """Long names keep both ends, of which either may be what differs."""
    if len(name) <= MOST_LETTERS:
        return name
    half = MOST_LETTERS // 2
    return f"{name[: half - 1]}\u2026{name[-half:]}"


def _interval(row: ForestRow, axis: axes.Axis, y: float) -> str:
    """The interval; where it leaves the plot, an arrow says so."""
    if row.low is None or row.high is None:
        return ""
    start, end = (_across(axis, value) for value in (row.low, row.high))
    left, right = max(start, LEFT), min(end, RIGHT)
    path = f"M{left:.1f} {y}H{right:.1f}"
    path += f"M{left + 5:.1f} {y - 4}L{left:.1f} {y}L{left + 5:.1f} {y + 4}" * (start < LEFT)
    path += f"M{right - 5:.1f} {y - 4}L{right:.1f} {y}L{right - 5:.1f} {y + 4}" * (end > RIGHT)
    return f'<path class="reach" d="{path}"/>'
