"""The files of a report: the page, and its results as CSV and JSON."""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from diffusion_jax.files import save
from diffusion_jax.inference.numbers import PSNR, RIGHT, RMSE
from diffusion_jax.metrics.heldout import BITS_PER_DIM, NOISE_ERROR
from diffusion_jax.reports import page, tables_as_csv
from diffusion_jax.reports.content import Measurement, Report, ReportedSampling
from diffusion_jax.strict_json import to_json

PAGE, JSON, CSV, FOLDER = "report.html", "results.json", "results.csv", "csv"
NAMES = (PAGE, JSON, CSV)
# What a row per arm and sampling calls the metrics that it has always had.
MEASURES = {"exact_match": "rate", "kernel": "distance"}


def write(report: Report, folder: Path, more: dict[str, Any] | None = None) -> Path:
    """Writes all files of a report.

    Args:
        report: what they say.
        folder: where to.
        more: further entries of the JSON file.

    Returns:
        The page's path.

    Raises:
        UserError: a file cannot be written there.
    """
    files = tables_as_csv.csv_files(report)
    for name, text in files.items():
        save(text, folder / FOLDER / name)
    save(files.get("measurements.csv", ""), folder / CSV)
    save(to_json({**as_json(report), **(more or {})}, indent=2), folder / JSON)
    return page.write(report, folder / PAGE)


def as_json(report: Report) -> dict[str, Any]:
    """The long table of results, and what is said beside it.

    With one training seed, "results", "paired" and "quality" have the same numbers once more: a row
    per arm and sampling, per test of samples, and per metric where arms are judged.
    """
    table = tables_as_csv.tables(report).get("measurements")
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows] if table else []
    found = {
        "baseline": report.baseline,
        "status": {arm.name: arm.status for arm in report.arms},
        "warnings": report.warnings,
        "not_measured": report.not_measured,
        "table": rows,
    }
    if len(report.seeds) > 1:
        return found
    known = [row for row in report.measurements if row.count]
    return found | {
        "results": list(_by_sampling(known, report)),
        "paired": [
            {
                **{"setting" if k == "sampling" else k: v for k, v in one.items()},
                "measure": MEASURES[one["metric"]],
            }
            for one in map(dataclasses.asdict, report.tests)
            if one["metric"] in MEASURES
        ],
        "quality": list(_by_metric(known, report)),
    }


def _by_sampling(rows: list[Measurement], report: Report) -> Iterator[dict[str, Any]]:
    groups: dict[tuple[str, ReportedSampling], dict[str, Measurement]] = {}
    for row in rows:
        if row.sampling is not None:
            groups.setdefault((row.arm, row.sampling), {})[row.metric] = row
    for (arm, sampling), found in groups.items():
        values = {name: _finite(row) for name, row in found.items()}
        right = {n.removeprefix(RIGHT): e for n, e in values.items() if n.startswith(RIGHT)}
        yield {
            "arm": arm,
            "setting": dataclasses.asdict(sampling),
            "count": max(row.count for row in found.values()),
            **{short: values.get(name) for name, short in MEASURES.items()},
            "by_attribute": {name: each["value"] for name, each in right.items() if each},
            "psnr": values.get(PSNR),
            "rmse": values.get(RMSE),
            "not_finite": report.not_finite.get((arm, sampling), 0),
        }


def _by_metric(rows: list[Measurement], report: Report) -> Iterator[dict[str, Any]]:
    for metric in report.metrics:
        own = [
            r
            for r in rows
            if r.metric == metric.name and r.sampling in (None, report.judged_sampling)
        ]
        found = {row.arm: each for row in own if (each := _finite(row)) is not None}
        if found and metric.name != NOISE_ERROR and not metric.name.startswith(RIGHT):
            yield {
                "metric": "bits per dimension" if metric.name == BITS_PER_DIM else metric.name,
                "unit": metric.unit,
                "better": metric.better,
                "explanation": metric.explanation,
                "count": max(row.count for row in own),
                "by_arm": found,
                "floor": None if metric.floor is None else dataclasses.asdict(metric.floor),
            }


def _finite(row: Measurement) -> dict[str, Any] | None:
    """A number with its interval; None where there is none."""
    return dataclasses.asdict(row.estimate) if math.isfinite(row.value) else None
