"""Forest plots: one row per arm, its difference from the baseline as a dot on its interval.

Rows stand in groups of their own, so the page's script can sort them and leave some out.
"""

from collections.abc import Mapping
from html import escape

from diffusion_jax.reports import axes, formats, style
from diffusion_jax.reports.plots import words
from diffusion_jax.reports.rows import Comparison
from diffusion_jax.statistics import many_to_one
from diffusion_jax.statistics.estimate import Estimate

WIDTH, TOP, ROW = 980, 66, 22
NAME, LEFT, RIGHT = 252, 266, 596
MOST_LETTERS = 32
REACH = 3.0  # intervals are cut at this multiple of the greatest difference


def forest(
    title: str,
    label: str,
    toward: tuple[str, str],
    pairs: Mapping[int, Comparison],
    decimals: int,
) -> str:
    """A forest plot as an `<svg>` element.

    Args:
        title: read out by screen readers.
        label: what the horizontal axis measures.
        toward: words for what lies left and right of zero.
        pairs: index of an arm, which sets its colour -> its difference from the baseline, from top
            to bottom. The dot of an arm that is called better or worse is filled.
        decimals: with which numbers are written.
    """
    gaps = [pair.difference for pair in pairs.values()]
    bound = REACH * (max((abs(gap.value) for gap in gaps), default=1.0) or 1.0)
    ends = [end for gap in gaps for end in (gap.low, gap.high) if end is not None]
    shown = [0.0, *(gap.value for gap in gaps), *(min(max(e, -bound), bound) for e in ends)]
    axis = axes.linear(label, shown, count=6)
    height = TOP + ROW * len(pairs) + 8
    body = [_frame(axis, toward, ROW * len(pairs))]
    for place, (arm, pair) in enumerate(pairs.items()):
        body.append(_row(arm, pair, axis, TOP + ROW * place, decimals))
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
    parts = [
        words(axis.label, (LEFT + RIGHT) / 2, 11, "axis-label", "middle"),
        words(f"\N{LEFTWARDS ARROW} {toward[0]}", zero - 8, 30, "side", "end"),
        words(f"{toward[1]} \N{RIGHTWARDS ARROW}", zero + 8, 30, "side"),
    ]
    lines = []
    for tick in axis.ticks:
        across = _across(axis, tick)
        kind = "zero" if abs(tick) < 1e-12 else "grid"
        lines.append(f'<path class="{kind}" d="M{across:.1f} 0V1"/>')
        parts.append(words(axis.text(tick), across, TOP - 14, "tick", "middle"))
    parts.append(
        f'<svg class="lines" x="0" y="{TOP - 8}" width="{WIDTH}" height="{height + 8}" '
        f'viewBox="0 0 {WIDTH} 1" preserveAspectRatio="none">{"".join(lines)}</svg>'
    )
    return "".join(parts)


def _row(arm: int, pair: Comparison, axis: axes.Axis, top: float, decimals: int) -> str:
    y, gap = ROW / 2, pair.difference
    ends = formats.fixed_interval(gap, decimals)
    said = formats.signed(gap.value, decimals) + f" ({ends})" * bool(ends)
    finding = "one seed" if pair.verdict == many_to_one.ONE_SEED else pair.verdict
    apart = pair.verdict in (many_to_one.BETTER, many_to_one.WORSE)
    return (
        f'<g class="series forest-row {style.css_class(arm)}" data-arm="{arm}" '
        f'transform="translate(0 {top})"><title>{escape(f"{pair.arm}: {said}, {finding}")}'
        f"</title>{words(_short(pair.arm), NAME, y + 4, 'name', 'end')}{_interval(gap, axis, y)}"
        f'<circle class="mark{" apart" * apart}" cx="{_across(axis, gap.value):.1f}" cy="{y}" '
        f'r="4"/>{words(said, RIGHT + 16, y + 4)}'
        f"{words(finding, WIDTH, y + 4, 'finding', 'end')}</g>"
    )


def _short(name: str) -> str:
    """Long names keep both ends, of which either may be what differs."""
    if len(name) <= MOST_LETTERS:
        return name
    half = MOST_LETTERS // 2
    return f"{name[: half - 1]}\u2026{name[-half:]}"


def _interval(gap: Estimate, axis: axes.Axis, y: float) -> str:
    """The interval; where it leaves the plot, an arrow says so."""
    if gap.low is None or gap.high is None:
        return ""
    start, end = _across(axis, gap.low), _across(axis, gap.high)
    left, right = max(start, LEFT), min(end, RIGHT)
    path = f"M{left:.1f} {y}H{right:.1f}"
    path += f"M{left + 5:.1f} {y - 4}L{left:.1f} {y}L{left + 5:.1f} {y + 4}" * (start < LEFT)
    path += f"M{right - 5:.1f} {y - 4}L{right:.1f} {y}L{right - 5:.1f} {y + 4}" * (end > RIGHT)
    return f'<path class="reach" d="{path}"/>'
