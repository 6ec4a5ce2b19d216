"""The report's figures: schedules, training, quality against compute."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from diffusion_jax.reports import axes, formats, plots
from diffusion_jax.reports.content import Report, ReportArm

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


def schedules(arms: Sequence[ReportArm], levels: Float[np.ndarray, " levels"]) -> list[Figure]:
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
    of_density, of_weight = (
        np.concatenate([line.y for line in each]) for each in (density, weight)
    )
    heights = axes.linear("per unit of log-SNR", of_density, low=0.0)
    ratios = axes.logarithmic("relative to log-SNR 0", of_weight)
    return [
        curves,
        Figure(
            "Training density",
            plots.chart("Density of training log-SNR", who, density, x, heights),
            "How often training visits each noise level.",
        ),
        Figure(
            "Effective weight",
            plots.chart("Effective weight over log-SNR", who, weight, x, ratios),
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
        step = arm.losses.steps[keep].astype(float)
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


def apart(values: list[int]) -> list[float]:
    """Those of rising numbers that leave room for their labels on a logarithmic axis."""
    chosen: list[float] = []
    for value in values:
        if not chosen or value >= 1.4 * chosen[-1]:
            chosen.append(float(value))
    return chosen
