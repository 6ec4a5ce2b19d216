"""The numbers behind the page as tables: CSV files, and the form embedded in the page."""

import csv
import dataclasses
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from diffusion_jax.reports.comparisons import by_sampling, estimate
from diffusion_jax.reports.content import Report, ReportedSampling
from diffusion_jax.statistics.estimate import Estimate

Value = str | int | float | None
DIGITS = 9  # that tell any two float32 numbers apart


@dataclasses.dataclass(frozen=True)
class Data:
    """One table.

    Attributes:
        columns: their names.
        rows: the values; None is an empty cell.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Value, ...]]


def csv_files(report: Report) -> dict[str, str]:
    """Every table behind the page as CSV: file name -> text.

    Numbers have nine significant digits; one that is unknown or not finite is an empty cell.
    """
    return {f"{name}.csv": csv_text(data) for name, data in tables(report).items()}


def csv_text(data: Data) -> str:
    r"""A table as CSV (RFC 4180, lines end with a line feed).

    >>> csv_text(Data(("arm", "loss"), [('a "b", c', 0.25), ("d", None)]))
    'arm,loss\n"a ""b"", c",0.25\nd,\n'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(data.columns)
    writer.writerows(["" if value is None else value for value in row] for row in data.rows)
    return text.getvalue()


def embedded(data: Data) -> dict[str, Any]:
    """A table column by column for the page's script; words stand once, with codes into them.

    >>> embedded(Data(("arm", "loss"), [("a", 0.5), ("b", None), ("a", math.inf)]))["columns"]
    [{'words': ['a', 'b'], 'codes': [0, 1, 0]}, {'values': [0.5, None, 'inf']}]
    """
    columns = zip(*data.rows, strict=True) if data.rows else [()] * len(data.columns)
    return {"names": data.columns, "columns": [_encoded(column) for column in columns]}


def tables(report: Report) -> dict[str, Data]:
    """Every table behind the page; those without a row are left out."""
    found = {
        "arms": _arms(report),
        "measurements": _measurements(report),
        "results": _results(report),
        "bin_losses": _bin_losses(report),
        "curves": _curves(report),
        "schedules": _schedules(report),
        "weights": _weights(report),
    }
    return {name: data for name, data in found.items() if data.rows}


def fields(report: Report) -> list[str]:
    """The settings in which arms differ: the axes of the sweep."""
    return list(dict.fromkeys(field for arm in report.arms for field in arm.settings))


def _arms(report: Report) -> Data:
    axes = fields(report)
    rest = ("parameters", "flops_per_step", "seconds_per_step", "steps", "images")
    names = ("arm", *axes, "status", *rest, "flops", "seconds", "group", "execution")
    return _data(
        names,
        (
            (
                arm.name,
                *(arm.settings.get(axis) for axis in axes),
                arm.status,
                *(getattr(arm, name) for name in rest),
                arm.flops,
                arm.seconds,
                arm.group,
                arm.execution,
            )
            for arm in report.arms
        ),
    )


def _measurements(report: Report) -> Data:
    """The long table of results: a row per arm, seed, sampling and metric."""
    guidance = {arm.name: arm.guidance for arm in report.arms}
    names = (
        "arm",
        "seed",
        *SAMPLED,
        "guidance",
        "metric",
        "value",
        "low",
        "high",
        "count",
        "error",
    )
    return _data(
        (*names, "difference_error"),
        (
            (
                *(
                    m.arm,
                    m.seed,
                    *_sampling(m.sampling),
                    guidance[m.arm] if m.sampling else None,
                    m.metric,
                ),
                *(m.value, m.low, m.high, m.count, m.error, m.difference_error),
            )
            for m in report.measurements
        ),
    )


def _results(report: Report) -> Data:
    """A row per arm, metric and sampling, the baseline's too."""
    judged = {(c.metric, c.sampling, c.arm): c for c in report.comparisons}
    compared = ("difference", "diff_low", "diff_high", "p_value", "p_adjusted", "verdict")
    rows = []
    for (metric, sampling), table in by_sampling(report.measurements).items():
        for arm, row in table.items():
            found = estimate(row) or Estimate(math.nan)
            one = judged.get((metric, sampling, arm))
            more: tuple[Value, ...] = (None,) * len(compared)
            if one:
                gap = one.difference
                more = (gap.value, gap.low, gap.high, one.p_value, one.p_adjusted, one.verdict)
            ends = (found.value, found.low, found.high)
            rows.append((arm, metric, *_sampling(sampling), len(row), *ends, *more))
    return _data(("arm", "metric", *SAMPLED, "seeds", "mean", "low", "high", *compared), rows)


def _bin_losses(report: Report) -> Data:
    low, high = report.bin_edges[:-1], report.bin_edges[1:]
    unknown = np.full(len(low), np.nan)
    return _points(
        ("arm", "seed", "log_snr_low", "log_snr_high", "loss", "error"),
        (
            ((b.arm, b.seed), (low, high, b.losses, unknown if b.errors is None else b.errors))
            for b in report.bin_losses
        ),
    )


def _curves(report: Report) -> Data:
    measured = ("steps", "images", "flops", "seconds", "loss")
    return _points(
        ("arm", "seed", *measured),
        (((c.arm, c.seed), [getattr(c, name) for name in measured]) for c in report.curves),
    )


def _schedules(report: Report) -> Data:
    known = ((arm.name, arm.schedule) for arm in report.arms if arm.schedule)
    return _points(("arm", "time", "log_snr"), (((n,), (s.time, s.log_snr)) for n, s in known))


def _weights(report: Report) -> Data:
    known = ((arm.name, arm.schedule) for arm in report.arms if arm.schedule)
    columns = (((n,), (report.log_snr_axis, s.density, s.weight)) for n, s in known)
    return _points(("arm", "log_snr", "density", "weight"), columns)


def _points(
    names: tuple[str, ...], of: Iterable[tuple[tuple[Value, ...], Sequence[np.ndarray]]]
) -> Data:
    """A row per point of several curves, each told apart by what stands first."""
    return _data(names, ((*who, *p) for who, columns in of for p in zip(*columns, strict=True)))


SAMPLED = ("solver", "solver_steps", "nfe")


def _sampling(sampling: ReportedSampling | None) -> tuple[Value, ...]:
    return (
        (None, None, None) if sampling is None else (sampling.solver, sampling.steps, sampling.nfe)
    )


def _data(names: tuple[str, ...], rows: Iterable[Sequence[Any]]) -> Data:
    """A table of plain numbers and words; of numbers, `DIGITS` digits."""
    return Data(names, [tuple(map(_plain, row)) for row in rows])


def _plain(value: Any) -> Value:
    if isinstance(value, float | np.floating):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def _encoded(column: Sequence[Any]) -> Mapping[str, Any]:
    if any(isinstance(value, str) for value in column):
        words = list(dict.fromkeys(column))
        codes = {word: code for code, word in enumerate(words)}
        return {"words": words, "codes": [codes[value] for value in column]}
    return {"values": [v if v is None or math.isfinite(v) else str(v) for v in column]}
