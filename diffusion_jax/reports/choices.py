"""What the page shows for one choice of metric and sampling."""

import math
from collections.abc import Mapping
from typing import Any

from diffusion_jax.reports import formats, result_figures
from diffusion_jax.reports.comparisons import by_sampling, estimate
from diffusion_jax.reports.content import DONE, Comparison, Report, ReportedSampling, ReportMetric
from diffusion_jax.reports.tables import NOTHING, Cell, decimals_of, difference_cell, estimate_cell
from diffusion_jax.reports.verdict import sampling_text
from diffusion_jax.statistics import many_to_one
from diffusion_jax.statistics.estimate import Estimate

Key = tuple[str, ReportedSampling | None]
COLUMNS = ("Mean", "Difference", "Finding", "p, adjusted", "Seeds")


def cells(
    report: Report,
    means: Mapping[str, Estimate | None],
    seeds: Mapping[str, int],
    pairs: Mapping[str, Comparison],
) -> list[tuple[Cell, ...]]:
    """The cells of `COLUMNS` for every arm of the report.

    Args:
        report: its arms set the order.
        means: arm -> its mean over seeds; None where it diverged.
        seeds: arm -> number of seeds measured.
        pairs: arm -> its comparison with the baseline.
    """
    widest = max((_reach(pair) for pair in pairs.values()), default=0.0) or 1.0
    gaps = [abs(p.difference.value) for p in pairs.values() if math.isfinite(p.difference.value)]
    digits = decimals_of([max(gaps, default=0.0)])
    return [
        (
            estimate_cell(means.get(arm.name), [*means.values()], drawn=True),
            _difference(pairs.get(arm.name), widest, digits),
            _finding(
                arm.name == report.baseline and len(report.arms) > 1,
                arm.status,
                pairs.get(arm.name),
            ),
            _p_value(pairs.get(arm.name)),
            Cell(str(seeds[arm.name]), seeds[arm.name]) if arm.name in seeds else NOTHING,
        )
        for arm in report.arms
    ]


def choices(report: Report) -> dict[str, Any]:
    """Everything that depends on the chosen metric and sampling, for the page's script.

    Returns:
        "metrics": label, explanation and the figure against evaluations of each, and its
        samplings; "samplings": their names; "shown": metric and sampling -> cells, forest plot, and
        the figures against training cost; "chosen": what the arms are judged by.
    """
    tables = by_sampling(report.measurements)
    estimates = {
        key: {arm: estimate(row) for arm, row in table.items()} for key, table in tables.items()
    }
    pairs: dict[Key, dict[str, Comparison]] = {}
    for pair in report.comparisons:
        pairs.setdefault((pair.metric, pair.sampling), {})[pair.arm] = pair
    # A metric that nobody measured is shown all the same, empty.
    of = {
        m.name: [sampling for name, sampling in tables if name == m.name] or [None]
        for m in report.metrics
    }
    samplings = list(dict.fromkeys(sampling for own in of.values() for sampling in own))
    judged = report.judged_by
    chosen = judged.sampling if judged.sampling in of[judged.metric] else of[judged.metric][0]
    return {
        "columns": COLUMNS,
        "samplings": [sampling_text(sampling) for sampling in samplings],
        "metrics": [
            {
                "label": metric.label,
                "note": _note(metric),
                "samplings": [samplings.index(sampling) for sampling in of[metric.name]],
                "evaluations": result_figures.against_evaluations(report, metric, estimates),
            }
            for metric in report.metrics
        ],
        "shown": {
            f"{m} {samplings.index(sampling)}": _shown(
                report, metric, estimates.get(key, {}), tables.get(key, {}), pairs.get(key, {})
            )
            for m, metric in enumerate(report.metrics)
            for sampling in of[metric.name]
            for key in [(metric.name, sampling)]
        },
        "chosen": [list(of).index(judged.metric), samplings.index(chosen)],
    }


def _shown(
    report: Report,
    metric: ReportMetric,
    means: Mapping[str, Estimate | None],
    table: Mapping[str, Mapping[int, Any]],
    pairs: Mapping[str, Comparison],
) -> dict[str, Any]:
    seeds = {arm: len(row) for arm, row in table.items()}
    return {
        "cells": [[_packed(cell) for cell in row] for row in cells(report, means, seeds, pairs)],
        "forest": result_figures.differences(report, metric, list(pairs.values())),
        "flops": result_figures.against_training(report, metric, means, "flops"),
        "seconds": result_figures.against_training(report, metric, means, "seconds"),
    }


def _packed(cell: Cell) -> list[str | float]:
    """Text, key, aside and, in percent, start, width and middle of the drawn interval."""
    packed: list[str | float] = [cell.text, cell.key, cell.aside]
    if cell.span:
        packed += [round(x, 1) for x in (cell.span.start, cell.span.width, cell.span.middle)]
    return packed


def _note(metric: ReportMetric) -> str:
    unit = f" In {metric.unit}." if metric.unit else ""
    floor = ""
    if metric.floor is not None:
        share = "%" if metric.unit == "%" else ""
        got = formats.number(metric.floor.value)
        floor = f" Real examples with the same captions get {got}{share}."
    return f"{metric.better.capitalize()} is better.{unit} {metric.explanation}{floor}".strip()


def _difference(pair: Comparison | None, widest: float, decimals: int) -> Cell:
    if pair is None or not math.isfinite(pair.difference.value):
        return NOTHING
    return difference_cell(pair.difference, widest, decimals)


def _p_value(pair: Comparison | None) -> Cell:
    p = None if pair is None else pair.p_adjusted
    return NOTHING if p is None else Cell(formats.p_value(p), p)


def _finding(baseline: bool, status: str, pair: Comparison | None) -> Cell:
    if status != DONE:
        said = (
            status
            if pair is None or pair.verdict == many_to_one.NO_NUMBER
            else (f"{pair.verdict}; {status}")
        )
    elif baseline:
        said = "baseline"
    else:
        said = formats.UNKNOWN if pair is None else pair.verdict
    return Cell(said, said, numeric=False)


def _reach(pair: Comparison) -> float:
    """How far the drawing must reach: to the interval's ends, but not far beyond the number."""
    size = abs(pair.difference.value)
    if not math.isfinite(size):
        return 0.0
    ends = [abs(end) for end in (pair.difference.low, pair.difference.high) if end is not None]
    return min(max([size, *ends]), 3 * size)
