"""The report's figures: schedules, training, quality against compute."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from diffusion_jax.reports import axes, formats, plots
from diffusion_jax.reports.content import Arm, Report, Result
from diffusion_jax.reports.sweep_content import SweepArm
from diffusion_jax.statistics.estimate import Estimate

LOG_SNR = "\N{LEFTWARDS ARROW} noise   \N{EM SPACE}log-SNR\N{EM SPACE}   data \N{RIGHTWARDS ARROW}"
WEIGHTS = 1000.0  # the largest effective weight shown, relative to that at log-SNR 0


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


def schedules(arms: Sequence[Arm | SweepArm], levels: Float[np.ndarray, " levels"]) -> list[Figure]:
    """Schedule, training density and effective weight of every arm over one log-SNR axis.

    Args:
        arms: those without a schedule are left out.
        levels: (levels,) log-SNR of densities and weights, rising.
    """
    drawn = [(i, arm.schedule) for i, arm in enumerate(arms) if arm.schedule is not None]
    if not drawn:
        return []
    x = axes.linear(LOG_SNR, levels, low=float(levels[0]), high=float(levels[-1]), count=6)
    time = [plots.Line(i, s.log_snr, s.time) for i, s in drawn]
    denoising = [(i, s) for i, s in drawn if np.isfinite(s.density).any()]
    density = [plots.Line(i, levels, s.density) for i, s in denoising]
    weight = [plots.Line(i, levels, relative_weight(levels, s.weight)) for i, s in denoising]
    unit = axes.linear("time (0 data, 1 noise)", (0, 1), low=0, high=1)
    who = f"Arms: {formats.listed([arms[i].name for i, _ in drawn])}."
    curves = Figure(
        "Schedule",
        plots.chart("Time against log-SNR", who, time, x, unit),
        "The noise level that each arm's own time stands for. Where a curve is flat, "
        "little time covers much noise.",
    )
    if not denoising:
        return [curves]
    who = f"Arms: {formats.listed([arms[i].name for i, _ in denoising])}."
    return [
        curves,
        Figure(
            "Training density",
            plots.chart("Density of training log-SNR", who, density, x, _heights(density)),
            "How often training visits each noise level.",
        ),
        Figure(
            "Effective weight",
            plots.chart("Effective weight over log-SNR", who, weight, x, _ratios(weight)),
            "Density times loss weight, for the squared error of the noise prediction: what "
            "training cares about. Each is 1 at log-SNR 0; a flat line is the likelihood bound.",
        ),
    ]


def relative_weight(
    levels: Float[np.ndarray, " p"], weight: Float[np.ndarray, " p"]
) -> Float[np.ndarray, " p"]:
    """A weight relative to that at log-SNR 0 (or its median, where that is zero).

    Values beyond 1/`WEIGHTS` and `WEIGHTS`, zeros included, become gaps.

    >>> relative_weight(np.array([-1.0, 0.0, 1.0]), np.array([6.0, 3.0, 0.0])).tolist()
    [2.0, 1.0, nan]
    """
    usable = weight[np.isfinite(weight) & (weight > 0)]
    if not len(usable):
        return np.full(len(weight), np.nan)
    centre = float(np.interp(0.0, levels, weight))
    scaled = weight / (centre if np.isfinite(centre) and centre > 0 else np.median(usable))
    return np.where((scaled >= 1 / WEIGHTS) & (scaled <= WEIGHTS), scaled, np.nan)


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


def noise_errors(report: Report) -> list[Figure]:
    """How well each arm finds the noise in held-out pictures, by noise level."""
    found = [(i, arm.noise_errors) for i, arm in enumerate(report.arms) if arm.noise_errors]
    if not found:
        return []
    lines = []
    for index, errors in found:
        middles = (errors.edges[1:] + errors.edges[:-1]) / 2
        lines.append(plots.Line(index, middles, errors.mean, errors.low, errors.high))
    edges = found[0][1].edges
    x = axes.linear(LOG_SNR, edges, low=float(edges[0]), high=float(edges[-1]), count=6)
    y = axes.logarithmic("error in the noise", np.concatenate([line.y for line in lines]))
    return [
        Figure(
            "Held-out loss by noise level",
            plots.chart("Error in the noise against log-SNR", "One curve per arm.", lines, x, y),
            "Mean square error in the noise of pictures that were not trained on, the same "
            "pictures, noise and levels for all arms, whatever they were trained on. Its integral "
            "is the bound on bits per dimension. Bars: 95% intervals over pictures.",
        )
    ]


def quality(report: Report) -> list[Figure]:
    """Quality against denoiser evaluations, a figure per measure and solver, on shared axes."""
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
    x = axes.logarithmic("denoiser evaluations a picture", evaluations, ticks=apart(evaluations))
    rows = [result for result in report.results if result.setting.solver == solver]
    lines = [
        _curve(index, [row for row in rows if row.arm == arm.name], measure)
        for index, arm in enumerate(report.arms)
    ]
    svg = plots.chart(
        f"{measure.name} against denoiser evaluations with {solver}",
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


def _ratios(lines: list[plots.Line]) -> axes.Axis:
    return axes.logarithmic("relative to log-SNR 0", np.concatenate([line.y for line in lines]))


def apart(values: list[int]) -> list[float]:
    """Those of rising numbers that leave room for their labels on a logarithmic axis."""
    chosen: list[float] = []
    for value in values:
        if not chosen or value >= 1.4 * chosen[-1]:
            chosen.append(float(value))
    return chosen
