"""Tables, ready for the page: cells with text to read and a number to sort by."""

import dataclasses
import math

from diffusion_jax.reports import formats
from diffusion_jax.reports.comparisons import means
from diffusion_jax.reports.content import Report
from diffusion_jax.reports.rows import Criterion, by_criterion
from diffusion_jax.statistics.estimate import Estimate
from diffusion_jax.statistics.many_to_one import OPEN


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: what it says.
        key: what it is sorted by: a number, or text.
        aside: smaller text after it, such as an interval.
        span: a drawn interval, or None: where its bar starts, how wide it is, and where the dot
            stands, in percent.
        numeric: whether it is set in columns of digits.
    """

    text: str
    key: str | float
    aside: str = ""
    span: tuple[float, float, float] | None = None
    numeric: bool = True


NOTHING = Cell(formats.UNKNOWN, "")
TESTS = (
    "Of one training seed, arm and baseline have the same captions and start from the same noise, "
    "sample by sample. Shares: McNemar's exact test, adjusted Wald interval. Distances: normal "
    "interval from each sample's influence, subtracted pair by pair. An arm is called better or "
    "worse where the difference stands out from its noise after Holm's adjustment for the number "
    "of arms. All are about these trained networks: what another training seed would change, no "
    "interval covers."
)


def ends_of(estimate: Estimate) -> tuple[float, float]:
    """The ends of an interval; where there is none, the number itself."""
    low, high = estimate.low, estimate.high
    return (estimate.value if low is None else low), (estimate.value if high is None else high)


def _span(estimate: Estimate, start: float, end: float) -> tuple[float, float, float]:
    """An estimate with its interval, drawn on [start, end]."""
    low, high = ends_of(estimate)
    scale = 100 / (end - start)
    return (low - start) * scale, (high - low) * scale, (estimate.value - start) * scale


def decimals_of(values: list[float]) -> int:
    """Decimals for a column: three digits for its largest number, four if small ones need it."""
    sizes = [abs(value) for value in values if value and math.isfinite(value)]
    if not sizes:
        return 2
    largest, smallest = math.floor(math.log10(max(sizes))), math.floor(math.log10(min(sizes)))
    return max(2 - largest, min(1 - smallest, 3 - largest), 0)


def estimate_cell(
    found: Estimate | None, column: list[Estimate | None], drawn: bool = False
) -> Cell:
    """A number with its interval, in as many decimals as its column needs."""
    if found is None:
        return NOTHING
    known = [each for each in column if each is not None]
    decimals = decimals_of([each.value for each in known])
    text, ends = formats.fixed(found.value, decimals), formats.fixed_interval(found, decimals)
    if not drawn:
        return Cell(text, found.value, ends)
    low, *_, high = sorted(end for each in known for end in ends_of(each))
    margin = 0.05 * (high - low) or 0.5
    return Cell(text, found.value, ends, _span(found, low - margin, high + margin))


def difference_cell(gap: Estimate, widest: float, decimals: int) -> Cell:
    """A difference with its interval, drawn about zero as far as `widest`."""
    drawn = gap
    if gap.low is not None and gap.high is not None:
        drawn = Estimate(gap.value, max(gap.low, -widest), min(gap.high, widest))
    span = _span(drawn, -1.04 * widest, 1.04 * widest)
    text, ends = formats.signed(gap.value, decimals), formats.fixed_interval(gap, decimals)
    return Cell(text, gap.value, ends, span)


@dataclasses.dataclass(frozen=True)
class HtmlRow:
    """One row: the arm's index and name, and the cells after it."""

    arm: int
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
    found = means(report)
    columns = {}
    for metric in report.metrics:
        judged = Criterion(metric.name, report.judged_sampling)
        column = found.get(judged) or found.get(Criterion(metric.name))
        if column:
            columns[metric] = column
    headings = ["Arm"]
    headings += [m.label + (f", {m.unit}" if m.unit else "") for m in columns]
    rows = []
    for arm in report.arms if len(columns) > 1 else ():
        cells = [estimate_cell(each.get(arm.name), [*each.values()]) for each in columns.values()]
        rows.append(_row(report, arm.name, cells, arm.name == report.baseline))
    return HtmlTable(tuple(headings), tuple(rows))


def tests(report: Report) -> HtmlTable:
    """Tests of samples: differences with their intervals, and whether they stand out."""
    headings = ("Arm", "Metric", "Solver", "Steps", "NFE", "Pairs", "Difference", "p", "Finding")
    rows = []
    # A stable sort: where arms are judged comes first, the others stay in order.
    groups = sorted(by_criterion(report.tests).items(), key=lambda g: g[0] != report.judged_by)
    for criterion, group in groups:
        widest = max(max(map(abs, ends_of(t.difference))) for t in group) or 1.0
        label = report.metric(criterion.metric).label
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
            rows.append(_row(report, test.arm, cells, criterion == report.judged_by))
    return HtmlTable(headings, tuple(rows))


def _row(report: Report, name: str, cells: list[Cell], strong: bool) -> HtmlRow:
    return HtmlRow(report.index[name], name, tuple(cells), strong)
