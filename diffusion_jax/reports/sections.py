"""The tables of a report: every arm by every metric, and tests of samples."""

import dataclasses
from collections.abc import Sequence

from diffusion_jax.reports import formats, style
from diffusion_jax.reports.comparisons import by_sampling, estimate
from diffusion_jax.reports.content import Report, SampleTest
from diffusion_jax.reports.tables import Cell, decimals_of, difference_cell, ends_of
from diffusion_jax.reports.verdict import metric_of
from diffusion_jax.statistics.estimate import Estimate

LEVEL = 0.05
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
        cells = [_value(found.get(arm.name), [*found.values()]) for found in columns.values()]
        rows.append(_row(report, arm.name, cells, arm.name == report.baseline))
    return HtmlTable(tuple(headings), tuple(rows))


def tests(report: Report) -> HtmlTable:
    """Tests of samples: differences with their intervals, and whether they stand out."""
    headings = ("Arm", "Metric", "Solver", "Steps", "NFE", "Pairs", "Difference", "p", "Finding")
    groups: dict[tuple[object, ...], list[SampleTest]] = {}
    for test in report.tests:
        groups.setdefault((test.metric, test.sampling), []).append(test)
    rows = []
    # A stable sort: where arms are judged comes first, the others stay in order.
    for key, group in sorted(groups.items(), key=lambda item: item[0] != report.judged_by.key):
        widest = max(max(map(abs, ends_of(t.difference))) for t in group) or 1.0
        metric = metric_of(report, group[0].metric)
        decimals = decimals_of([max(abs(t.difference.value) for t in group)])
        for test, apart in zip(group, separated(group), strict=True):
            lower = test.difference.value < 0
            said = "better" if lower == (metric.better == "lower") else "worse"
            finding = f"{said}, this seed" if apart else "not separable"
            cells = [
                Cell(metric.label, metric.label, numeric=False),
                Cell(test.sampling.solver, test.sampling.solver, numeric=False),
                Cell(str(test.sampling.steps), test.sampling.steps),
                Cell(str(test.sampling.nfe), test.sampling.nfe),
                Cell(f"{test.count:,}", test.count),
                difference_cell(test.difference, widest, decimals),
                Cell(formats.p_value(test.p_value), test.p_value),
                Cell(finding, said if apart else finding, numeric=False),
            ]
            rows.append(_row(report, test.arm, cells, key == report.judged_by.key))
    return HtmlTable(headings, tuple(rows))


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


def separated(tests: Sequence[SampleTest]) -> list[bool]:
    """Whether each difference stands out from its noise, given that all were looked at."""
    return [p < LEVEL for p in holm([test.p_value for test in tests])]


def _row(report: Report, name: str, cells: list[Cell], strong: bool) -> HtmlRow:
    index = [arm.name for arm in report.arms].index(name)
    return HtmlRow(index, style.css_class(index), name, tuple(cells), strong)


def _value(found: Estimate | None, column: list[Estimate | None]) -> Cell:
    if found is None:
        return Cell(formats.UNKNOWN, "")
    decimals = decimals_of([each.value for each in column if each is not None])
    text, ends = formats.fixed(found.value, decimals), formats.fixed_interval(found, decimals)
    return Cell(text, found.value, ends)
