"""The files of a report: the page, and its results as CSV and JSON."""

from pathlib import Path
from typing import Any

from diffusion_jax.files import save
from diffusion_jax.reports import page, tables_as_csv
from diffusion_jax.reports.content import Report
from diffusion_jax.strict_json import to_json

PAGE, JSON, CSV, FOLDER = "report.html", "results.json", "results.csv", "csv"
NAMES = (PAGE, JSON, CSV)


def write(report: Report, folder: Path) -> Path:
    """Writes all files of a report.

    Returns:
        The page's path.

    Raises:
        UserError: a file cannot be written there.
    """
    files = tables_as_csv.csv_files(report)
    for name, text in files.items():
        save(text, folder / FOLDER / name)
    save(files.get("measurements.csv", ""), folder / CSV)
    save(to_json(as_json(report), indent=2), folder / JSON)
    return page.write(report, folder / PAGE)


def as_json(report: Report) -> dict[str, Any]:
    """The long table of results, a dict per row, and what is said beside it."""
    table = tables_as_csv.tables(report).get("measurements")
    return {
        "baseline": report.baseline,
        "status": {arm.name: arm.status for arm in report.arms},
        "warnings": report.warnings,
        "not_measured": report.not_measured,
        "table": [dict(zip(table.columns, row, strict=True)) for row in table.rows]
        if table
        else [],
    }
