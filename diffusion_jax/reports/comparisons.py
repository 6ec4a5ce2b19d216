"""From the long table of measurements to means, intervals and comparisons."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from diffusion_jax.reports.content import Report
from diffusion_jax.reports.rows import (
    Comparison,
    Criterion,
    Measurement,
    ReportedSampling,
    ReportMetric,
    by_criterion,
)
from diffusion_jax.statistics import many_to_one
from diffusion_jax.statistics.estimate import Estimate
from diffusion_jax.statistics.reference import LEVEL

Table = dict[str, dict[int, Measurement]]


def compare(
    measurements: Sequence[Measurement], metrics: Sequence[ReportMetric], baseline: str
) -> tuple[Comparison, ...]:
    """Every other arm against the baseline, by every metric and sampling.

    Each metric and sampling is a family of its own, see `statistics.many_to_one`.

    Args:
        measurements: the long table.
        metrics: those to compare by.
        baseline: name of the arm to compare with.

    >>> table = [Measurement(loss, arm=arm, seed=seed, sampling=None, metric="loss")
    ...          for arm, losses in {"a": (1.0, 1.1, 1.2), "b": (1.0, 1.1, 1.2)}.items()
    ...          for seed, loss in enumerate(losses)]
    >>> compare(table, [ReportMetric("loss", "Loss", "lower")], "a")[0].verdict
    'identical'
    """
    tables = by_sampling(measurements)
    return tuple(
        Comparison(**vars(one), **criterion._asdict(), arm=arm, against=baseline)
        for metric in metrics
        for criterion, table in tables.items()
        if criterion.metric == metric.name
        for arm, one in many_to_one.compare(
            _column(table, "value"),
            baseline,
            metric.better,
            _column(table, "error"),
            _column(table, "difference_error"),
        ).items()
    )


def _column(table: Table, name: str) -> dict[str, dict[int, float]]:
    """Arm -> seed -> what is known under a name."""
    return {
        arm: {s: known for s, m in row.items() if (known := getattr(m, name)) is not None}
        for arm, row in table.items()
    }


def criterion(
    wanted: Iterable[str],
    metrics: Sequence[ReportMetric],
    rows: Sequence[Measurement],
    sampling: ReportedSampling | None,
) -> Criterion:
    """What arms are judged by: the first wanted metric of which there are numbers, else the first.

    Args:
        wanted: names of metrics, the most wanted first.
        metrics: those that were measured.
        rows: the long table.
        sampling: of the samples that arms are judged by.
    """
    names = [metric.name for metric in metrics]
    name = next(each for each in (*wanted, *names) if each in names)
    sampled = any(row.metric == name and row.sampling for row in rows)
    return Criterion(name, sampling if sampled else None)


def by_sampling(measurements: Sequence[Measurement]) -> dict[Criterion, Table]:
    """The long table taken apart: metric and sampling -> arm -> seed -> measurement."""
    tables: dict[Criterion, Table] = {}
    for one in measurements:
        tables.setdefault(one.criterion, {}).setdefault(one.arm, {})[one.seed] = one
    return tables


def in_percent(report: Report) -> Report:
    """The report with its shares, of metrics whose unit is "%", from 0 to 100."""
    shares = {metric.name for metric in report.metrics if metric.unit == "%"}

    def scaled(rows: Sequence[Comparison]) -> tuple[Comparison, ...]:
        parts = ("mean", "baseline", "difference")
        return tuple(
            dataclasses.replace(row, **{part: getattr(row, part).scaled(100) for part in parts})
            if row.metric in shares
            else row
            for row in rows
        )

    return dataclasses.replace(
        report,
        measurements=tuple(m.scaled(100) if m.metric in shares else m for m in report.measurements),
        comparisons=scaled(report.comparisons),
        tests=scaled(report.tests),
        metrics=tuple(
            dataclasses.replace(m, floor=m.floor.scaled(100)) if m.floor and m.name in shares else m
            for m in report.metrics
        ),
    )


def adjusted(
    tests: Sequence[Comparison], metrics: Sequence[ReportMetric]
) -> tuple[Comparison, ...]:
    """Tests of samples, adjusted for the number of arms of the same metric and sampling."""
    better = {metric.name: metric.better for metric in metrics}
    found = []
    for group in by_criterion(tests).values():
        p_values = holm([1.0 if test.p_value is None else test.p_value for test in group])
        for test, p in zip(group, p_values, strict=True):
            apart = many_to_one.direction(test.difference.value, better[test.metric])
            verdict = apart if p < LEVEL else many_to_one.OPEN
            found.append(dataclasses.replace(test, p_adjusted=p, verdict=verdict))
    return tuple(found)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values: max over the smaller ones of (m - rank) p, at most 1.

    Source: Holm 1979 (a simple sequentially rejective multiple test procedure).

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        running = max(running, (len(p_values) - rank) * p_values[index])
        adjusted[index] = min(1.0, running)
    return adjusted


def means(report: Report) -> dict[Criterion, dict[str, Estimate | None]]:
    """Metric and sampling -> arm -> its mean over seeds, as `estimate` has it."""
    tables = by_sampling(report.measurements).items()
    return {one: {arm: estimate(row) for arm, row in table.items()} for one, table in tables}


def estimate(row: Mapping[int, Measurement]) -> Estimate | None:
    """The mean of one arm over all its seeds with its 95% interval; None if a seed diverged.

    Of a single seed it is that seed's number, with its own interval over samples.
    """
    values = np.array([measurement.value for measurement in row.values()], np.float64)
    if not np.isfinite(values).all():
        return None
    if len(row) == 1:
        (only,) = row.values()
        if only.low is not None:
            return only
    errors = [measurement.error for measurement in row.values()]
    known = None if None in errors else np.array(errors, np.float64)
    return many_to_one.mean_over_seeds(values, known)
