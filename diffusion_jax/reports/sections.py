"""The tables of a report: every arm by every metric, and tests of samples."""

import dataclasses

from diffusion_jax.reports import formats, style
from diffusion_jax.reports.comparisons import by_sampling, estimate
from diffusion_jax.reports.content import Comparison, Report, ReportedSampling
from diffusion_jax.reports.tables import Cell, decimals_of, difference_cell, ends_of, estimate_cell
from diffusion_jax.reports.verdict import metric_of
from diffusion_jax.statistics.many_to_one import OPEN

TESTS = (
    "Of one training seed, arm and baseline have the same captions and start from the same noise, "
    "sample by sample. Shares: McNemar's exact test, adjusted Wald interval. Distances: normal "
    "interval from each sample's influence, subtracted pair by pair. An arm is called better or "
    "worse where the difference stands out from its noise after Holm's adjustment for the number "
    "of arms. All are about these trained networks: what another training seed would change, no "
    "interval covers."
)


@dataclasses.dataclass(frozen=True)
class HtmlRow:
    """One row: the arm's index and CSS class, and the cells after its name."""

    arm: int
    css: str
    name: str
    cells: tuple[Cell, ...]
    strong: bool = False


@dataclasses.dataclass(frozen=True)
class HtmlTable:
    """A table: headings (the first is the arm's) and rows."""

    headings: tuple[str, ...]
    rows: tuple[HtmlRow, ...]


def by_metric(report: Report) -> HtmlTable:
    """Every arm by every metric, where arms are judged; no rows where that is one metric."""
    tables = by_sampling(report.measurements)
    columns = {}
    for metric in report.metrics:
        table = tables.get((metric.name, report.judged_sampling)) or tables.get((metric.name, None))
        if table:
            columns[metric] = {arm: estimate(row) for arm, row in table.items()}
    headings = ["Arm"]
    headings += [m.label + (f", {m.unit}" if m.unit else "") for m in columns]
    rows = []
    for arm in report.arms if len(columns) > 1 else ():
        cells = [
            estimate_cell(found.get(arm.name), [*found.values()]) for found in columns.values()
        ]
        rows.append(_row(report, arm.name, cells, arm.name == report.baseline))
    return HtmlTable(tuple(headings), tuple(rows))


def tests(report: Report) -> HtmlTable:
    """Tests of samples: differences with their intervals, and whether they stand out."""
    headings = ("Arm", "Metric", "Solver", "Steps", "NFE", "Pairs", "Difference", "p", "Finding")
    groups: dict[tuple[str, ReportedSampling | None], list[Comparison]] = {}
    for test in report.tests:
        groups.setdefault((test.metric, test.sampling), []).append(test)
    rows = []
    # A stable sort: where arms are judged comes first, the others stay in order.
    for key, group in sorted(groups.items(), key=lambda item: item[0] != report.judged_by.key):
        widest = max(max(map(abs, ends_of(t.difference))) for t in group) or 1.0
        label = metric_of(report, group[0].metric).label
        decimals = decimals_of([max(abs(t.difference.value) for t in group)])
        for test in group:
            finding = test.verdict + ", this seed" * (test.verdict != OPEN)
            sampling = test.sampling
            assert sampling is not None and test.p_value is not None, "of samples"
            cells = [
                Cell(label, label, numeric=False),
                Cell(sampling.solver, sampling.solver, numeric=False),
                Cell(str(sampling.steps), sampling.steps),
                Cell(str(sampling.nfe), sampling.nfe),
                Cell(f"{test.difference.count or 0:,}", test.difference.count or 0),
                difference_cell(test.difference, widest, decimals),
                Cell(formats.p_value(test.p_value), test.p_value),
                Cell(finding, test.verdict, numeric=False),
            ]
            rows.append(_row(report, test.arm, cells, key == report.judged_by.key))
    return HtmlTable(headings, tuple(rows))


def _row(report: Report, name: str, cells: list[Cell], strong: bool) -> HtmlRow:
    index = [arm.name for arm in report.arms].index(name)
    return HtmlRow(index, style.css_class(index), name, tuple(cells), strong)
