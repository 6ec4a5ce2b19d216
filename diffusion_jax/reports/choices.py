"""What the page shows for one choice of metric and sampling."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from diffusion_jax.reports import formats, result_figures
from diffusion_jax.reports.comparisons import by_sampling, means
from diffusion_jax.reports.content import DONE, Report, ReportArm
from diffusion_jax.reports.rows import (
    Comparison,
    Criterion,
    ReportMetric,
    by_criterion,
    sampling_text,
)
from diffusion_jax.reports.tables import NOTHING, Cell, decimals_of, difference_cell, estimate_cell
from diffusion_jax.statistics import many_to_one
from diffusion_jax.statistics.estimate import Estimate

COLUMNS = ("Mean", "Difference", "Finding", "p, adjusted", "Seeds")


def choices(report: Report) -> dict[str, Any]:
    """Everything that depends on the chosen metric and sampling, for the page's script.

    Returns:
        "metrics": label, explanation and the figure against evaluations of each, and its
        samplings; "samplings": their names; "shown": metric and sampling -> cells, forest plot, and
        the figures against training cost; "chosen": what the arms are judged by.
    """
    tables, estimates = by_sampling(report.measurements), means(report)
    compared = by_criterion(report.comparisons)
    # A metric that nobody measured is shown all the same, empty.
    of = {
        m.name: [one.sampling for one in tables if one.metric == m.name] or [None]
        for m in report.metrics
    }
    samplings = list(dict.fromkeys(sampling for own in of.values() for sampling in own))

    def shown(metric: ReportMetric, criterion: Criterion) -> dict[str, Any]:
        found, pairs = estimates.get(criterion, {}), compared.get(criterion, [])
        seeds = {arm: len(row) for arm, row in tables.get(criterion, {}).items()}
        rows = cells(report, found, seeds, pairs)
        return {
            "cells": [[_packed(cell) for cell in row] for row in rows],
            "forest": result_figures.differences(report, metric, pairs),
            "flops": result_figures.against_training(report, metric, found, "flops"),
            "seconds": result_figures.against_training(report, metric, found, "seconds"),
        }

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
            f"{m} {samplings.index(sampling)}": shown(metric, Criterion(metric.name, sampling))
            for m, metric in enumerate(report.metrics)
            for sampling in of[metric.name]
        },
        "chosen": [list(of).index(judged.metric), samplings.index(chosen)],
    }


def cells(
    report: Report,
    means: Mapping[str, Estimate | None],
    seeds: Mapping[str, int],
    pairs: Sequence[Comparison],
) -> list[tuple[Cell, ...]]:
    """The cells of `COLUMNS` for every arm of the report.

    Args:
        report: its arms set the order.
        means: arm -> its mean over seeds; None where it diverged.
        seeds: arm -> number of seeds measured.
        pairs: comparisons with the baseline.
    """
    widest = max(map(_reach, pairs), default=0.0) or 1.0
    gaps = [abs(p.difference.value) for p in pairs if math.isfinite(p.difference.value)]
    digits = decimals_of([max(gaps, default=0.0)])
    of_arm = {pair.arm: pair for pair in pairs}

    def row(arm: ReportArm) -> tuple[Cell, ...]:
        pair = of_arm.get(arm.name)
        known = pair is not None and math.isfinite(pair.difference.value)
        p = None if pair is None else pair.p_adjusted
        return (
            estimate_cell(means.get(arm.name), [*means.values()], drawn=True),
            difference_cell(pair.difference, widest, digits) if pair and known else NOTHING,
            _finding(report, arm, pair),
            NOTHING if p is None else Cell(formats.p_value(p), p),
            Cell(str(seeds[arm.name]), seeds[arm.name]) if arm.name in seeds else NOTHING,
        )

    return [row(arm) for arm in report.arms]


def _packed(cell: Cell) -> list[str | float]:
    """Text, key, aside and, in percent, start, width and middle of the drawn interval."""
    return [cell.text, cell.key, cell.aside, *(round(x, 1) for x in cell.span or ())]


def _note(metric: ReportMetric) -> str:
    unit = f" In {metric.unit}." if metric.unit else ""
    floor = f" Real examples with the same captions get {metric.of_real}." if metric.floor else ""
    return f"{metric.better.capitalize()} is better.{unit} {metric.explanation}{floor}".strip()


def _finding(report: Report, arm: ReportArm, pair: Comparison | None) -> Cell:
    if arm.status != DONE:
        some = pair is not None and pair.verdict != many_to_one.NO_NUMBER
        said = f"{pair.verdict}; {arm.status}" if pair and some else arm.status
    elif arm.name == report.baseline and len(report.arms) > 1:
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
