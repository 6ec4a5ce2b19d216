"""From the long table of measurements to means, intervals and comparisons."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from diffusion_jax.reports.content import (
    Comparison,
    Criterion,
    Measurement,
    Report,
    ReportedSampling,
    ReportMetric,
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
    found = []
    for metric in metrics:
        for (name, sampling), table in tables.items():
            if name == metric.name:
                judged = many_to_one.compare(
                    {arm: {s: m.value for s, m in row.items()} for arm, row in table.items()},
                    baseline,
                    metric.better,
                    {arm: _known(row, "error") for arm, row in table.items()},
                    {arm: _known(row, "difference_error") for arm, row in table.items()},
                )
                found += [
                    Comparison(
                        arm=arm,
                        against=baseline,
                        sampling=sampling,
                        metric=name,
                        **{f.name: getattr(one, f.name) for f in dataclasses.fields(one)},
                    )
                    for arm, one in judged.items()
                ]
    return tuple(found)


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


def by_sampling(
    measurements: Sequence[Measurement],
) -> dict[tuple[str, ReportedSampling | None], Table]:
    """The long table taken apart: (metric, sampling) -> arm -> seed -> measurement."""
    tables: dict[tuple[str, ReportedSampling | None], Table] = {}
    for measurement in measurements:
        table = tables.setdefault((measurement.metric, measurement.sampling), {})
        table.setdefault(measurement.arm, {})[measurement.seed] = measurement
    return tables


def in_percent(report: Report) -> Report:
    """The report with its shares, of metrics whose unit is "%", from 0 to 100."""
    shares = {metric.name for metric in report.metrics if metric.unit == "%"}
    return dataclasses.replace(
        report,
        measurements=tuple(
            _hundredfold(m) if m.metric in shares else m for m in report.measurements
        ),
        comparisons=tuple(_in_percent(c, shares) for c in report.comparisons),
        tests=tuple(_in_percent(c, shares) for c in report.tests),
        metrics=tuple(
            dataclasses.replace(m, floor=m.floor.scaled(100)) if m.floor and m.name in shares else m
            for m in report.metrics
        ),
    )


def _in_percent(pair: Comparison, shares: set[str]) -> Comparison:
    parts = {name: getattr(pair, name) for name in ("mean", "baseline", "difference")}
    scaled = {name: each.scaled(100) for name, each in parts.items()}
    return dataclasses.replace(pair, **scaled) if pair.metric in shares else pair


def adjusted(
    tests: Sequence[Comparison], metrics: Sequence[ReportMetric]
) -> tuple[Comparison, ...]:
    """Tests of samples, adjusted for the number of arms of the same metric and sampling."""
    better = {metric.name: metric.better for metric in metrics}
    groups: dict[tuple[str, ReportedSampling | None], list[Comparison]] = {}
    for test in tests:
        groups.setdefault((test.metric, test.sampling), []).append(test)
    found = []
    for group in groups.values():
        p_values = holm([1.0 if test.p_value is None else test.p_value for test in group])
        for test, p in zip(group, p_values, strict=True):
            lower = (test.difference.value < 0) == (better[test.metric] == "lower")
            verdict = many_to_one.BETTER if lower else many_to_one.WORSE
            verdict = verdict if p < LEVEL else many_to_one.OPEN
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


def estimate(row: dict[int, Measurement]) -> Estimate | None:
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
    errors = _known(row, "error")
    known = np.array(list(errors.values()), np.float64) if len(errors) == len(row) else None
    return many_to_one.mean_over_seeds(values, known)


def judged(report: Report) -> list[Comparison]:
    """The comparisons that the arms are judged by, in their order."""
    return [c for c in report.comparisons if (c.metric, c.sampling) == report.judged_by.key]


def _hundredfold(row: Measurement) -> Measurement:
    error = row.difference_error
    scaled = {**vars(row.scaled(100)), "difference_error": error and 100 * error}
    return dataclasses.replace(row, **scaled)


def _known(row: dict[int, Measurement], name: str) -> dict[int, float]:
    return {
        seed: getattr(measurement, name)
        for seed, measurement in row.items()
        if getattr(measurement, name) is not None
    }
