"""From the long table of a sweep's measurements to means, intervals and comparisons."""

import dataclasses
import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from diffusion_jax.reports.content import Setting
from diffusion_jax.reports.sweep_content import Comparison, Measurement, Metric, SweepReport
from diffusion_jax.statistics import replicates
from diffusion_jax.statistics.estimate import Estimate

Table = dict[str, dict[int, Measurement]]
Row = TypeVar("Row", Measurement, Comparison)
VALUES = ("value", "error", "difference_error")
MEANS = ("mean", "low", "high", "baseline_mean", "difference", "diff_low", "diff_high")


def compare(
    measurements: Sequence[Measurement], metrics: Sequence[Metric], baseline: str
) -> tuple[Comparison, ...]:
    """Every other arm against the baseline, by every metric in every way.

    Each metric and way is a family of its own, see `evaluation.replicates`.

    Args:
        measurements: the long table.
        metrics: those to compare by.
        baseline: name of the arm to compare with.

    >>> table = [Measurement(arm, seed, None, "loss", loss, 100)
    ...          for arm, losses in {"a": (1.0, 1.1, 1.2), "b": (1.0, 1.1, 1.2)}.items()
    ...          for seed, loss in enumerate(losses)]
    >>> compare(table, [Metric("loss", "Loss", "lower")], "a")[0].verdict
    'identical'
    """
    tables = by_way(measurements)
    found = []
    for metric in metrics:
        for (name, way), table in tables.items():
            if name == metric.name:
                judged = replicates.compare(
                    {arm: {s: m.value for s, m in row.items()} for arm, row in table.items()},
                    baseline,
                    metric.better,
                    {arm: _known(row, "error") for arm, row in table.items()},
                    {arm: _known(row, "difference_error") for arm, row in table.items()},
                )
                found += [
                    Comparison(
                        arm=arm, baseline=baseline, way=way, metric=name, **dataclasses.asdict(one)
                    )
                    for arm, one in judged.items()
                ]
    return tuple(found)


def by_way(measurements: Sequence[Measurement]) -> dict[tuple[str, Setting | None], Table]:
    """The long table taken apart: (metric, way) -> arm -> seed -> measurement."""
    tables: dict[tuple[str, Setting | None], Table] = {}
    for measurement in measurements:
        table = tables.setdefault((measurement.metric, measurement.way), {})
        table.setdefault(measurement.arm, {})[measurement.seed] = measurement
    return tables


def in_percent(report: SweepReport) -> SweepReport:
    """The report with its shares, of metrics whose unit is "%", from 0 to 100."""
    shares = {metric.name for metric in report.metrics if metric.unit == "%"}
    return dataclasses.replace(
        report,
        measurements=tuple(_hundredfold(m, VALUES, shares) for m in report.measurements),
        comparisons=tuple(_hundredfold(c, MEANS, shares) for c in report.comparisons),
    )


def estimate(row: dict[int, Measurement]) -> Estimate | None:
    """The mean of one arm over all its seeds with its 95% interval; None if a seed diverged."""
    values = np.array([measurement.value for measurement in row.values()], np.float64)
    if not np.isfinite(values).all():
        return None
    errors = _known(row, "error")
    known = np.array(list(errors.values()), np.float64) if len(errors) == len(row) else None
    found = replicates.mean_interval(values, known)
    if math.isnan(found.low):
        return Estimate(float(found.value))
    return Estimate(float(found.value), float(found.low), float(found.high))


def _hundredfold(row: Row, names: tuple[str, ...], shares: set[str]) -> Row:
    if row.metric not in shares:
        return row
    values = {name: getattr(row, name) for name in names}
    return dataclasses.replace(row, **{n: v and 100 * v for n, v in values.items()})


def _known(row: dict[int, Measurement], name: str) -> dict[int, float]:
    return {
        seed: getattr(measurement, name)
        for seed, measurement in row.items()
        if getattr(measurement, name) is not None
    }
