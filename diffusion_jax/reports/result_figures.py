"""Figures of results: differences, quality against cost, loss by noise level, learning curves."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from diffusion_jax.reports import axes, forest, formats, plots
from diffusion_jax.reports.content import LearningCurve, Report
from diffusion_jax.reports.figures import LOG_SNR, Figure, apart
from diffusion_jax.reports.rows import Comparison, Criterion, ReportMetric, sampling_text
from diffusion_jax.reports.tables import decimals_of
from diffusion_jax.statistics import many_to_one
from diffusion_jax.statistics.estimate import Z95, Estimate

Estimates = Mapping[Criterion, Mapping[str, Estimate | None]]
Point = tuple[float, Estimate, str]  # what it cost, how good it is, and what it says on hover
POINTS = 2400  # of all learning curves on one axis; a curve has at least `LEAST_POINTS`
LEAST_POINTS = 40
WIDE = 20.0  # an axis whose values span more than this ratio is logarithmic
WIDE_LOSSES = 2.0  # the same for losses, of which ratios matter
UNITS = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
SPANS = ((3600.0, "hours"), (60.0, "minutes"))


def differences(report: Report, metric: ReportMetric, pairs: Sequence[Comparison]) -> str:
    """A forest plot of the paired differences of one metric with one sampling; "" without any."""
    drawn = {report.index[p.arm]: p for p in pairs if np.isfinite(p.difference.value)}
    if not drawn:
        return ""
    label = f"{metric.label}: difference from {report.baseline}{_unit(metric)}"
    sides = ("better", "worse") if metric.better == "lower" else ("worse", "better")
    decimals = decimals_of([max(abs(pair.difference.value) for pair in drawn.values())])
    return forest.forest(f"Paired differences, {label}", label, sides, drawn, decimals)


def against_evaluations(report: Report, metric: ReportMetric, estimates: Estimates) -> str:
    """Quality against denoiser evaluations: every arm with every sampling; "" without samples."""
    found: dict[tuple[int, str], list[Point]] = {}
    for (name, sampling), table in estimates.items():
        if name == metric.name and sampling is not None and sampling.nfe:
            for arm, estimate in table.items():
                if estimate is not None:
                    tip = f"{arm}, {sampling_text(sampling)}"
                    points = found.setdefault((report.index[arm], sampling.solver), [])
                    points.append((float(sampling.nfe), estimate, tip))
    spent = sorted({int(cost) for points in found.values() for cost, _, _ in points})
    x = axes.logarithmic("denoiser evaluations a sample", spent, ticks=apart(spent))
    return _scatter(metric, x, [(arm, points) for (arm, _), points in found.items()])


def against_training(
    report: Report, metric: ReportMetric, table: Mapping[str, Estimate | None], cost: str
) -> str:
    """Quality with one sampling against what training cost; "" where that is unknown.

    Args:
        report: names the arms.
        metric: on the vertical axis.
        table: arm -> its mean.
        cost: "flops" or "seconds".
    """
    costs = {arm.name: getattr(arm, cost) for arm in report.arms}
    known = [(arm, mean) for arm, mean in table.items() if mean is not None and costs[arm]]
    if not known:
        return ""
    scale, unit = _scale(cost, max(costs[arm] for arm, _ in known))
    points = [(report.index[arm], [(costs[arm] / scale, mean, arm)]) for arm, mean in known]
    x = _axis(f"training, {unit}", [costs[arm] / scale for arm, _ in known])
    return _scatter(metric, x, points)


def non_dominated(points: Sequence[tuple[float, float]], better: str) -> list[int]:
    """Which of the points (cost, quality) no other is as cheap as and better than, or cheaper
    than and as good as; in order of cost.

    >>> non_dominated([(1.0, 5.0), (2.0, 3.0), (2.0, 4.0), (3.0, 3.5)], better="lower")
    [0, 1]
    """
    sign = 1.0 if better == "lower" else -1.0
    order = sorted(range(len(points)), key=lambda i: (points[i][0], sign * points[i][1]))
    best, kept = np.inf, []
    for place in order:
        if sign * points[place][1] < best:
            best = sign * points[place][1]
            kept.append(place)
    return kept


def losses_by_level(report: Report) -> list[Figure]:
    """Held-out loss per log-SNR bin, absolute and relative to the baseline."""
    if not report.bin_losses:
        return []
    index, levels = report.index, _centres(report.bin_edges)
    by_arm: dict[str, dict[int, Float[np.ndarray, " bins"]]] = {}
    for one in report.bin_losses:
        by_arm.setdefault(one.arm, {})[one.seed] = one.losses.astype(np.float64)
    seeds = len({one.seed for one in report.bin_losses})
    bars = f" Bars: 95% intervals over {seeds} seeds, unadjusted." if seeds > 1 else ""
    note = (
        "Held-out denoising loss in the same bins of log-SNR for all arms, whatever they were "
        f"trained on.{bars}"
    )
    absolute = [_over_seeds(index[arm], levels, _columns(rows)) for arm, rows in by_arm.items()]
    known = [(one, Z95 * one.errors) for one in report.bin_losses if one.errors is not None]
    if seeds == 1 and len(known) == len(report.bin_losses):
        absolute = [
            plots.Line(index[b.arm], levels, b.losses, b.losses - reach, b.losses + reach)
            for b, reach in known
        ]
        note += " Bars: 95% intervals over held-out examples."
    edges = report.bin_edges[np.isfinite(report.bin_edges)]
    x = axes.linear(LOG_SNR, levels, low=float(edges.min()), high=float(edges.max()), count=6)
    y = _heights("loss", absolute, ratio=WIDE_LOSSES)
    svg = plots.chart("Held-out loss by log-SNR", "", absolute, x, y)
    figures = [Figure("Loss by noise level", svg, note)]
    base = by_arm.pop(report.baseline, {})
    ratios = {
        arm: {s: np.log(rows[s] / base[s]) for s in rows if s in base}
        for arm, rows in by_arm.items()
    }
    relative = [_over_seeds(index[a], levels, _columns(r), np.exp) for a, r in ratios.items() if r]
    if relative:
        y = _heights(f"loss relative to {report.baseline}", relative, hold=(1.0,))
        title = "Held-out loss relative to the baseline"
        svg = plots.chart(title, "", relative, x, y, [(1.0, "")])
        note = (
            f"Below 1 the arm denoises better than {report.baseline}. Ratios are taken seed by "
            f"seed and averaged as logarithms.{bars}"
        )
        figures.append(Figure("Relative to the baseline", svg, note))
    return figures


def _columns(rows: Mapping[int, Float[np.ndarray, " bins"]]) -> Float[np.ndarray, "bins seeds"]:
    return np.stack([*rows.values()], -1)


def learning(report: Report) -> dict[str, str]:
    """Held-out loss during training against each known measure of its cost: name -> svg."""
    found = {}
    for cost, word in (
        ("steps", "Steps"),
        ("images", "Examples"),
        ("flops", "FLOPs"),
        ("seconds", "Wall time"),
    ):
        costs = (getattr(curve, cost) for curve in report.curves)
        top = max((float(np.nanmax(each, initial=0)) for each in costs), default=0.0)
        if top > 0:
            found[word] = _learning(report, cost, top)
    return found


def _learning(report: Report, cost: str, top: float) -> str:
    scale, unit = _scale(cost, top)
    by_arm: dict[str, list[LearningCurve]] = {}
    for curve in report.curves:
        by_arm.setdefault(curve.arm, []).append(curve)
    most = max(LEAST_POINTS, POINTS // len(by_arm))
    lines = [_mean_curve(report.index[a], own, cost, scale, most) for a, own in by_arm.items()]
    ends = [line.y[np.isfinite(line.y)][-1] for line in lines if np.isfinite(line.y).any()]
    x = axes.linear(unit, np.concatenate([line.x for line in lines]), low=0.0)
    # What rises a hundredfold above where most arms end has diverged: it may leave the plot.
    highest = 100 * float(np.median(ends)) if ends else np.inf
    y = _heights(report.curve_label, lines, highest=highest, ratio=WIDE_LOSSES)
    return plots.chart(f"{report.curve_label} during training", "", lines, x, y)


def _mean_curve(
    arm: int, curves: list[LearningCurve], cost: str, scale: float, most: int
) -> plots.Line:
    """The mean over seeds at the steps that all of them have."""
    steps = sorted(set.intersection(*(set(curve.steps.tolist()) for curve in curves)))
    chosen = np.array(steps, int)[plots.spread(len(steps), most)]
    at = [np.searchsorted(curve.steps, chosen) for curve in curves]
    spent, losses = (
        np.stack([getattr(c, n)[i].astype(np.float64) for c, i in zip(curves, at, strict=True)], -1)
        for n in (cost, "loss")
    )
    return _over_seeds(arm, spent.mean(-1) / scale, losses, band=True)


def _over_seeds(
    arm: int,
    x: Float[np.ndarray, " p"],
    values: Float[np.ndarray, "p seeds"],
    of: np.ufunc = np.positive,
    band: bool = False,
) -> plots.Line:
    """A line of means with intervals over seeds; `of` is applied to all of them."""
    finite = np.where(np.isfinite(values), values, np.nan)
    mean, _, reach = many_to_one.means_over_seeds(finite)
    return plots.Line(arm, x, of(mean), of(mean - reach), of(mean + reach), band=band)


def _scatter(
    metric: ReportMetric,
    x: axes.Axis,
    series: Sequence[tuple[int, list[Point]]],
) -> str:
    """Points with intervals, joined within a series, and the non-dominated ones marked."""
    every = [point for _, points in series for point in points]
    if not every:
        return ""
    lines = [_points(arm, sorted(points, key=lambda p: p[0]), metric) for arm, points in series]
    kept = [every[i] for i in non_dominated([(c, e.value) for c, e, _ in every], metric.better)]
    floor = [] if metric.floor is None else [metric.floor.value]
    y = _heights(f"{metric.label}{_unit(metric)}", lines, hold=floor)
    return plots.chart(
        f"{metric.label} against {x.label}",
        f"Not dominated: {', '.join(tip for _, _, tip in kept)}. The table holds the numbers.",
        [*lines, _stairs(kept, x.high), _points(None, kept, metric)],
        x,
        y,
        [(height, "real examples") for height in floor],
    )


def _points(arm: int | None, points: list[Point], metric: ReportMetric) -> plots.Line:
    tips = [f"{tip}: {metric.label} {formats.number(mean.value)}" for _, mean, tip in points]
    numbers = [(cost, mean.value, mean.low, mean.high) for cost, mean, _ in points]
    x, y, low, high = np.array(numbers, np.float64).reshape(-1, 4).T  # None becomes NaN
    return plots.Line(arm, x, y, low, high, tips)


def _stairs(kept: list[Point], end: float) -> plots.Line:
    """The border of what is dominated: right from each point, then to the next one's quality."""
    costs = [cost for cost, _, _ in kept]
    x = np.repeat([*costs, end], 2)[1:]
    y = np.repeat([mean.value for _, mean, _ in kept], 2)
    return plots.Line(None, x[: len(y)].astype(np.float64), y.astype(np.float64), faint=True)


def _heights(
    label: str,
    lines: Sequence[plots.Line],
    hold: Sequence[float] = (),
    highest: float = np.inf,
    ratio: float = WIDE,
) -> axes.Axis:
    """An axis for values and their intervals, but for the few that reach much farther out."""
    values = np.concatenate([np.asarray(hold, np.float64), *(line.y for line in lines)])
    values = values[np.isfinite(values) & (values <= highest)]
    if not len(values):
        return axes.linear(label, (0.0, 1.0))
    drawn = [line for line in lines if line.low is not None and line.high is not None]
    ends = [np.concatenate([line.low, line.high]) for line in drawn]
    reach = np.abs(np.concatenate(ends) - np.concatenate([np.tile(line.y, 2) for line in drawn]))
    margin = float(np.quantile(reach[np.isfinite(reach)], 0.8)) if np.isfinite(reach).any() else 0
    margin = 1.05 * max(margin, float(np.ptp(values)))
    near = np.concatenate(ends)
    near = near[(near >= values.min() - margin) & (near <= values.max() + margin)]
    return _axis(label, np.concatenate([values, near]), ratio)


def _axis(
    label: str, values: Sequence[float] | Float[np.ndarray, " n"], ratio: float = WIDE
) -> axes.Axis:
    low, high = float(np.min(values)), float(np.max(values))
    wide = low > 0 and high / low > ratio
    return axes.logarithmic(label, values) if wide else axes.linear(label, values)


def _centres(edges: Float[np.ndarray, " edges"]) -> Float[np.ndarray, " bins"]:
    """Middles of bins; an endless one is taken to be as wide as its neighbour."""
    edges = edges.astype(np.float64).copy()
    if np.isinf(edges[0]):
        edges[0] = 2 * edges[1] - edges[2]
    if np.isinf(edges[-1]):
        edges[-1] = 2 * edges[-2] - edges[-3]
    return (edges[:-1] + edges[1:]) / 2


def _scale(cost: str, most: float) -> tuple[float, str]:
    """What to divide costs by, and the unit that they are in then."""
    if cost == "seconds":
        return next(((s, name) for s, name in SPANS if most >= 2 * s), (1.0, "seconds"))
    words = {"steps": "training steps", "images": "training examples", "flops": "FLOPs"}
    if cost == "flops":
        return next(((s, f"{prefix}FLOPs") for s, prefix in UNITS if most >= s), (1.0, "FLOPs"))
    return 1.0, words[cost]


def _unit(metric: ReportMetric) -> str:
    return f", {metric.unit}" if metric.unit else ""
