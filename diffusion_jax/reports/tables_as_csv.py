"""The numbers behind the page as tables: CSV files, and the form embedded in the page."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from diffusion_jax.reports.comparisons import by_sampling, means
from diffusion_jax.reports.content import Report
from diffusion_jax.reports.rows import ReportedSampling
from diffusion_jax.statistics.estimate import Estimate

Value = str | int | float | None
Rows = list[dict[str, Value]]  # column -> value; None is an empty cell
DIGITS = 9  # that tell any two float32 numbers apart


def csv_files(report: Report) -> dict[str, str]:
    """Every table behind the page as CSV: file name -> text.

    Numbers have nine significant digits; one that is unknown or not finite is an empty cell.
    """
    return {f"{name}.csv": csv_text(rows) for name, rows in tables(report).items()}


def csv_text(rows: Rows) -> str:
    r"""A table as CSV (RFC 4180, lines end with a line feed).

    >>> csv_text([{"arm": 'a "b", c', "loss": 0.25}, {"arm": "d", "loss": None}])
    'arm,loss\n"a ""b"", c",0.25\nd,\n'
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def embedded(rows: Rows) -> dict[str, Any]:
    """A table column by column for the page's script; words stand once, with codes into them.

    >>> table = [{"arm": "a", "loss": 0.5}, {"arm": "b", "loss": None}, {"arm": "a", "loss": 2}]
    >>> embedded(table)["columns"]
    [{'words': ['a', 'b'], 'codes': [0, 1, 0]}, {'values': [0.5, None, 2]}]
    """
    return {
        "names": list(rows[0]),
        "columns": [_encoded([row[name] for row in rows]) for name in rows[0]],
    }


def _encoded(column: Sequence[Value]) -> Mapping[str, Any]:
    if any(isinstance(value, str) for value in column):
        words = list(dict.fromkeys(column))
        codes = {word: code for code, word in enumerate(words)}
        return {"words": words, "codes": [codes[value] for value in column]}
    return {"values": column}


def tables(report: Report) -> dict[str, Rows]:
    """Every table behind the page; those without a row are left out."""
    drawn = [(arm.name, arm.schedule) for arm in report.arms if arm.schedule]
    low, high = report.bin_edges[:-1], report.bin_edges[1:]
    unknown = np.full(len(low), np.nan)
    found = {
        "arms": _arms(report),
        "measurements": _measurements(report),
        "results": _results(report),
        "bin_losses": _points(
            {"arm": b.arm, "seed": b.seed}
            | {"log_snr_low": low, "log_snr_high": high, "loss": b.losses}
            | {"error": unknown if b.errors is None else b.errors}
            for b in report.bin_losses
        ),
        "curves": _points(map(vars, report.curves)),
        "schedules": _points({"arm": n, "time": s.time, "log_snr": s.log_snr} for n, s in drawn),
        "weights": _points(
            {"arm": n, "log_snr": report.log_snr_axis, "density": s.density, "weight": s.weight}
            for n, s in drawn
        ),
    }
    plain = {
        name: [{column: _plain(value) for column, value in row.items()} for row in rows]
        for name, rows in found.items()
    }
    return {name: rows for name, rows in plain.items() if rows}


Raw = Iterable[dict[str, Any]]  # rows that may hold numbers of numpy, and more digits


def _arms(report: Report) -> Raw:
    known = ("parameters", "flops_per_step", "seconds_per_step", "steps", "images")
    for arm in report.arms:
        yield {
            "arm": arm.name,
            **{field: arm.settings.get(field) for field in report.fields},
            "status": arm.status,
            **{name: getattr(arm, name) for name in (*known, "flops", "seconds")},
            **{name: getattr(arm, name) for name in ("group", "execution")},
        }


def _measurements(report: Report) -> Raw:
    """The long table of results: a row per arm, seed, sampling and metric."""
    guidance = {arm.name: arm.guidance for arm in report.arms}
    measured = ("metric", "value", "low", "high", "count", "error", "difference_error")
    for one in report.measurements:
        yield {
            "arm": one.arm,
            "seed": one.seed,
            **_sampling(one.sampling),
            "guidance": guidance[one.arm] if one.sampling else None,
            **{name: getattr(one, name) for name in measured},
        }


def _results(report: Report) -> Raw:
    """A row per arm, metric and sampling, the baseline's too."""
    compared = {(each.criterion, each.arm): each for each in report.comparisons}
    tables = by_sampling(report.measurements)
    for criterion, by_arm in means(report).items():
        for arm, mean in by_arm.items():
            found, one = mean or Estimate(math.nan), compared.get((criterion, arm))
            yield {
                "arm": arm,
                "metric": criterion.metric,
                **_sampling(criterion.sampling),
                "seeds": len(tables[criterion][arm]),
                "mean": found.value,
                "low": found.low,
                "high": found.high,
                "difference": one and one.difference.value,
                "diff_low": one and one.difference.low,
                "diff_high": one and one.difference.high,
                "p_value": one and one.p_value,
                "p_adjusted": one and one.p_adjusted,
                "verdict": one and one.verdict,
            }


def _points(curves: Iterable[Mapping[str, Any]]) -> Raw:
    """A row per point of several curves, each told apart by what is no array."""
    for curve in curves:
        columns = {name: values for name, values in curve.items() if np.ndim(values)}
        for point in zip(*columns.values(), strict=True):
            yield {**curve, **dict(zip(columns, point, strict=True))}


def _sampling(sampling: ReportedSampling | None) -> dict[str, Value]:
    if sampling is None:
        return {"solver": None, "solver_steps": None, "nfe": None}
    return {"solver": sampling.solver, "solver_steps": sampling.steps, "nfe": sampling.nfe}


def _plain(value: Any) -> Value:
    """Numbers and words alone; of numbers, `DIGITS` digits."""
    if isinstance(value, float | np.floating):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
