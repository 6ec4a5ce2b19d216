"""The files of a report: the page, and its results as CSV and JSON."""

from pathlib import Path

from diffusion_jax.files import save
from diffusion_jax.reports import page, tables_as_csv
from diffusion_jax.reports.content import Report
from diffusion_jax.strict_json import to_json

PAGE, JSON, CSV, FOLDER = "report.html", "results.json", "results.csv", "csv"
NAMES = (PAGE, JSON, CSV)


def write(report: Report, folder: Path) -> Path:
    """Writes all files of a report: its page, the long table, and every table behind the page.

    Returns:
        The page's path.

    Raises:
        UserError: a file cannot be written there.
    """
    tables = tables_as_csv.tables(report)
    for name, rows in tables.items():
        save(tables_as_csv.csv_text(rows), folder / FOLDER / f"{name}.csv")
    results = tables.get("measurements", [])
    said = {
        "baseline": report.baseline,
        "status": {arm.name: arm.status for arm in report.arms},
        "warnings": report.warnings,
        "not_measured": report.not_measured,
        "table": results,
    }
    save(tables_as_csv.csv_text(results) if results else "", folder / CSV)
    save(to_json(said, indent=2), folder / JSON)
    return page.write(report, folder / PAGE)
