"""The report's figures: schedules, training, quality against compute."""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from diffusion_jax.reports import axes, formats, plots
from diffusion_jax.reports.content import Estimate, Report, Result

LOG_SNR = "\N{LEFTWARDS ARROW} noise   \N{EM SPACE}log-SNR\N{EM SPACE}   data \N{RIGHTWARDS ARROW}"


@dataclasses.dataclass(frozen=True)
class Figure:
    """A drawn figure.

    Attributes:
        title: its heading.
        svg: an `<svg>` element, safe to put into a page.
        note: how to read it, one or two sentences.
    """

    title: str
    svg: str
    note: str = ""


def schedules(report: Report) -> list[Figure]:
    """Schedule, training density and effective weight of every arm over one log-SNR axis."""
    arms = [(i, arm.schedule) for i, arm in enumerate(report.arms) if arm.schedule is not None]
    if not arms:
        return []
    levels = report.log_snr_axis
    x = axes.linear(LOG_SNR, levels, low=float(levels[0]), high=float(levels[-1]), count=6)
    time = [plots.Line(i, s.log_snr, s.time) for i, s in arms]
    density = [plots.Line(i, levels, s.density) for i, s in arms]
    weight = [plots.Line(i, levels, unit_area(levels, s.weight)) for i, s in arms]
    unit = axes.linear("time (0 data, 1 noise)", (0, 1), low=0, high=1)
    who = f"Arms: {formats.listed([report.arms[i].name for i, _ in arms])}."
    return [
        Figure(
            "Schedule",
            plots.chart("Time against log-SNR", who, time, x, unit),
            "The noise level that each arm's own time stands for. Where a curve is flat, "
            "little time covers much noise.",
        ),
        Figure(
            "Training density",
            plots.chart("Density of training log-SNR", who, density, x, _heights(density)),
            "How often training visits each noise level.",
        ),
        Figure(
            "Effective weight",
            plots.chart("Effective weight over log-SNR", who, weight, x, _heights(weight)),
            "Density times loss weight, both for the error of the noise prediction, scaled to "
            "unit area: what training cares about.",
        ),
    ]


def unit_area(x: Float[np.ndarray, " p"], y: Float[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
    """A curve scaled to area 1 by the trapezoidal rule; one of no area is left as it is.

    >>> unit_area(np.array([0.0, 2.0]), np.array([3.0, 3.0])).tolist()
    [0.5, 0.5]
    """
    area = float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2))
    return y / area if np.isfinite(area) and area > 0 else y


def losses(report: Report) -> list[Figure]:
    """Training loss of every arm, smoothed, over the raw values."""
    lines = []
    for index, arm in enumerate(report.arms):
        if arm.losses is None:
            continue
        keep = np.isfinite(arm.losses.loss)
        step = arm.losses.step[keep].astype(float)
        loss = arm.losses.loss[keep].astype(float)
        lines.append(plots.Line(index, step, loss, faint=True))
        lines.append(plots.Line(index, step, plots.smooth(loss, max(5.0, len(loss) / 25))))
    if not lines:
        return []
    x = axes.linear("optimizer step", np.concatenate([line.x for line in lines]), low=0.0)
    y = axes.logarithmic("loss", np.concatenate([line.y for line in lines]))
    return [
        Figure(
            "Training loss",
            plots.chart("Training loss against step", "One curve per arm.", lines, x, y),
            "Faint: as logged. Full: moving average. Arms with different predictions or "
            "weightings minimise different quantities, so compare the shapes of their curves, "
            "not their heights.",
        )
    ]


def quality(report: Report) -> list[Figure]:
    """Quality against network evaluations, a figure per measure and solver, on shared axes."""
    solvers = list(dict.fromkeys(result.setting.solver for result in report.results))
    return [
        _quality(report, measure, solver) for measure in _measures(report) for solver in solvers
    ]


@dataclasses.dataclass(frozen=True)
class _Measure:
    """What stands on the vertical axis, how to read it off a row, and how to say it."""

    name: str
    of: Callable[[Result], Estimate | None]
    tell: Callable[[float], str]
    axis: axes.Axis
    rules: tuple[plots.Rule, ...] = ()


def _measures(report: Report) -> list[_Measure]:
    measures = []
    if any(result.rate is not None for result in report.results):
        axis = axes.linear("pictures all right", (0, 1), low=0, high=1, text=_whole_percent)
        rules = _rules(report.ceiling, "real pictures")
        measures.append(_Measure("all right", lambda r: r.rate, formats.percent, axis, rules))
    if report.distance is not None:
        rules = _rules(report.distance.floor, "real against real")
        found = [r.distance.value for r in report.results if r.distance is not None]
        axis = axes.linear(report.distance.name, [0.0, *found, *(r.height for r in rules)])
        name = report.distance.name
        measures.append(_Measure(name, lambda r: r.distance, formats.number, axis, rules))
    return measures


def _quality(report: Report, measure: _Measure, solver: str) -> Figure:
    evaluations = sorted({result.setting.nfe for result in report.results})
    x = axes.logarithmic("network evaluations a picture", evaluations, ticks=_apart(evaluations))
    rows = [result for result in report.results if result.setting.solver == solver]
    lines = [
        _curve(index, [row for row in rows if row.arm == arm.name], measure)
        for index, arm in enumerate(report.arms)
    ]
    svg = plots.chart(
        f"{measure.name} against network evaluations with {solver}",
        "One curve per arm; bars are 95% intervals. The table holds the numbers.",
        [line for line in lines if len(line.x)],
        x,
        measure.axis,
        measure.rules,
    )
    return Figure(f"{solver}: {measure.name}", svg)


def _curve(arm: int, rows: list[Result], measure: _Measure) -> plots.Line:
    rows = sorted(rows, key=lambda row: row.setting.nfe)
    found = [(row, e) for row in rows if (e := measure.of(row)) is not None]
    return plots.Line(
        arm,
        np.array([row.setting.nfe for row, _ in found], float),
        np.array([e.value for _, e in found], float),
        np.array([_or_nan(e.low) for _, e in found], float),
        np.array([_or_nan(e.high) for _, e in found], float),
        [f"{r.arm}, {r.setting.nfe} evaluations: {measure.tell(e.value)}" for r, e in found],
    )


def _rules(reference: Estimate | None, label: str) -> tuple[plots.Rule, ...]:
    return () if reference is None else (plots.Rule(reference.value, label),)


def _whole_percent(rate: float) -> str:
    return f"{100 * rate:.0f}%"


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _heights(lines: list[plots.Line]) -> axes.Axis:
    return axes.linear("per unit of log-SNR", np.concatenate([line.y for line in lines]), low=0.0)


def _apart(values: list[int]) -> list[float]:
    """Those of rising numbers that leave room for their labels on a logarithmic axis."""
    chosen: list[float] = []
    for value in values:
        if not chosen or value >= 1.4 * chosen[-1]:
            chosen.append(float(value))
    return chosen
