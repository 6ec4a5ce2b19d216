"""Line plots as inline SVG that takes its colours from the page.

No raster, no fonts of its own, no script: the same figure is right in light and dark, on paper
and on a phone. Lines of an arm carry its CSS class and index, so that the page's legend can
bring one arm forward in every figure at once.
"""

import dataclasses
from collections.abc import Sequence
from html import escape

import numpy as np
from jaxtyping import Float, Int

from diffusion_jax.reports import style
from diffusion_jax.reports.axes import Axis

WIDTH, HEIGHT = 340, 236
LEFT, RIGHT, TOP, BOTTOM = 54, 10, 12, 42
MOST_POINTS = 400


@dataclasses.dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        arm: index of the arm it belongs to; sets colour and dash. None is a line of no arm,
            drawn in ink.
        x: (P,) positions along the horizontal axis.
        y: (P,) heights; points that are not finite are gaps.
        low: (P,) lower ends of error bars, or None; NaN draws none.
        high: (P,) upper ends.
        tips: (P,) what a point says on hover; empty draws no dots.
        faint: whether it is background, such as an unsmoothed curve.
        band: whether `low` and `high` are drawn as one shaded band instead of bars.
    """

    arm: int | None
    x: Float[np.ndarray, " p"]
    y: Float[np.ndarray, " p"]
    low: Float[np.ndarray, " p"] | None = None
    high: Float[np.ndarray, " p"] | None = None
    tips: Sequence[str] = ()
    faint: bool = False
    band: bool = False


def chart(
    title: str,
    description: str,
    lines: Sequence[Line],
    x: Axis,
    y: Axis,
    rules: Sequence[tuple[float, str]] = (),
    dots: Sequence[tuple[float, float]] = (),
) -> str:
    """A line plot as an `<svg>` element.

    Args:
        title: read out by screen readers.
        description: what there is to see, for those who cannot see it.
        lines: the curves.
        x: horizontal axis.
        y: vertical axis.
        rules: horizontal reference lines, such as a floor: height, and a word on it.
        dots: single marked points (x, y).
    """
    body = [_frame(x, y)]
    body += [_rule(height, label, y) for height, label in rules]
    body += [_line(line, x, y) for line in sorted(lines, key=lambda line: not line.faint)]
    body += [
        f'<circle class="spot" cx="{_across(x, a):.1f}" cy="{_down(y, b):.1f}" r="4"/>'
        for a, b in dots
    ]
    return (
        f'<svg class="chart" role="img" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'aria-label="{escape(title)}. {escape(description)}">{"".join(body)}</svg>'
    )


def smooth(y: Float[np.ndarray, " p"], span: float) -> Float[np.ndarray, " p"]:
    """Exponential moving average over about `span` points, debiased at the start.

    >>> smooth(np.array([3.0, 3.0, 3.0]), span=5.0).round(6).tolist()
    [3.0, 3.0, 3.0]
    """
    keep = 1 - 1 / max(span, 1.0)
    total, weight, out = 0.0, 0.0, np.empty(len(y))
    for index, value in enumerate(np.asarray(y, np.float64)):
        total, weight = keep * total + value, keep * weight + 1
        out[index] = total / weight
    return out


def words(
    text: str, x: float, y: float, css: str = "", anchor: str = "", turned: bool = False
) -> str:
    """A text in a figure.

    >>> words("a < b", 3, 4.25, "tick", "middle")
    '<text class="tick" x="3" y="4.2" text-anchor="middle">a &lt; b</text>'
    """
    at = (str(n) if isinstance(n, int) else f"{n:.1f}" for n in (x, y))
    which = f' class="{css}"' * bool(css) + ' transform="rotate(-90)"' * turned
    place = ' x="{}" y="{}"'.format(*at) + f' text-anchor="{anchor}"' * bool(anchor)
    return f"<text{which}{place}>{escape(text)}</text>"


def _across(axis: Axis, value: float) -> float:
    return LEFT + axis.position(value) * (WIDTH - LEFT - RIGHT)


def _down(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - axis.position(value) * (HEIGHT - TOP - BOTTOM)


def _frame(x: Axis, y: Axis) -> str:
    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for tick in y.ticks:
        height = _down(y, tick)
        parts.append(f'<path class="grid" d="M{LEFT} {height:.1f}H{right}"/>')
        parts.append(words(y.text(tick), LEFT - 7, height + 3.5, "tick", "end"))
    for tick in x.ticks:
        across = _across(x, tick)
        parts.append(f'<path class="grid" d="M{across:.1f} {floor}v4"/>')
        parts.append(words(x.text(tick), across, floor + 17, "tick", "middle"))
    parts.append(f'<path class="axis" d="M{LEFT} {floor}H{right}"/>')
    parts.append(words(x.label, (LEFT + right) / 2, HEIGHT - 7, "axis-label", "middle"))
    parts.append(words(y.label, -(TOP + floor) / 2, 9, "axis-label", "middle", turned=True))
    return "".join(parts)


def _rule(value: float, label: str, y: Axis) -> str:
    height = _down(y, value)
    baseline = height - 4 if height > TOP + 16 else height + 12
    said = words(label, WIDTH - RIGHT, baseline, "rule-label", "end")
    return f'<path class="rule" d="M{LEFT} {height:.1f}H{WIDTH - RIGHT}"/>{said}'


def _line(line: Line, x: Axis, y: Axis) -> str:
    keep = spread(len(line.x), MOST_POINTS)
    xs, ys = np.asarray(line.x, np.float64)[keep], np.asarray(line.y, np.float64)[keep]
    kind = "line faint" if line.faint else "line"
    dash = "" if line.arm is None else style.dash(line.arm)
    pen = f' stroke-dasharray="{dash}"' * bool(dash)
    parts = [f'<path class="{kind}"{pen} d="{_path(xs, ys, x, y)}"/>']
    if line.low is not None and line.high is not None:
        low, high = (np.asarray(ends, np.float64)[keep] for ends in (line.low, line.high))
        parts += [_band(xs, low, high, x, y)] if line.band else _bars(xs, low, high, x, y)
    if line.tips:
        parts += _marks(xs, ys, [line.tips[index] for index in keep], x, y)
    whose = "" if line.arm is None else f' data-arm="{line.arm}"'
    css = "reference" if line.arm is None else style.css_class(line.arm)
    return f'<g class="series {css}"{whose}>{"".join(parts)}</g>'


def spread(count: int, most: int) -> Int[np.ndarray, " chosen"]:
    """Indices of at most so many of `count` things, evenly spread from the first to the last.

    >>> spread(9, 3).tolist()
    [0, 4, 8]
    """
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def _path(xs: np.ndarray, ys: np.ndarray, x: Axis, y: Axis) -> str:
    path, pen_down = [], False
    for across, down, visible in zip(*_points(xs, ys, x, y), strict=True):
        if visible:
            path.append(f"{'L' if pen_down else 'M'}{across:.1f} {down:.1f}")
        pen_down = visible
    return "".join(path)


def _points(
    xs: np.ndarray, ys: np.ndarray, x: Axis, y: Axis
) -> tuple[list[float], list[float], list[bool]]:
    """Where points stand, kept within the frame's height, and which can be seen."""
    along, up = x.positions(xs), y.positions(ys)
    visible = np.isfinite(xs) & np.isfinite(ys) & (along >= -1e-6) & (along <= 1 + 1e-6)
    across = LEFT + along * (WIDTH - LEFT - RIGHT)
    down = HEIGHT - BOTTOM - np.clip(up, 0, 1) * (HEIGHT - TOP - BOTTOM)
    return across.tolist(), down.tolist(), visible.tolist()


def _inside(y: Axis, value: float) -> float:
    """The height of a value, kept within the frame."""
    return min(max(_down(y, value), TOP), HEIGHT - BOTTOM)


def _band(xs: np.ndarray, low: np.ndarray, high: np.ndarray, x: Axis, y: Axis) -> str:
    across, bottom, seen = _points(xs, low, x, y)
    _, top, also = _points(xs, high, x, y)
    known = [i for i in range(len(xs)) if seen[i] and also[i]]
    ring = [f"{across[i]:.1f} {bottom[i]:.1f}" for i in known]
    ring += [f"{across[i]:.1f} {top[i]:.1f}" for i in reversed(known)]
    return f'<path class="band" d="M{"L".join(ring)}Z"/>' if ring else ""


def _bars(xs: np.ndarray, low: np.ndarray, high: np.ndarray, x: Axis, y: Axis) -> list[str]:
    return [
        f'<path class="bar" d="M{_across(x, a):.1f} {_inside(y, b):.1f}V{_inside(y, c):.1f}"/>'
        for a, b, c in zip(xs, low, high, strict=True)
        if np.isfinite([a, b, c]).all()
    ]


def _marks(xs: np.ndarray, ys: np.ndarray, tips: list[str], x: Axis, y: Axis) -> list[str]:
    return [
        f'<circle class="mark" cx="{_across(x, a):.1f}" cy="{_down(y, b):.1f}" r="3.4">'
        f"<title>{escape(tip)}</title></circle>"
        for a, b, tip in zip(xs, ys, tips, strict=True)
        if np.isfinite([a, b]).all()
    ]
