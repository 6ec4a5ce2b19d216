"""The report's tables as rows ready for the page: text to read, a number to sort by."""

import dataclasses
import math

from diffusion_jax.reports import formats, style, verdict
from diffusion_jax.reports.content import Paired, Quality, Report, Result, Setting
from diffusion_jax.statistics.estimate import Estimate


@dataclasses.dataclass(frozen=True)
class Span:
    """A small drawn interval, all in percent of its width.

    Attributes:
        start: left end of the bar.
        width: its width.
        middle: where the dot stands.
    """

    start: float
    width: float
    middle: float


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: what it says.
        key: what it is sorted by: a number, or text.
        aside: smaller text after it, such as an interval.
        span: a drawn interval, or None.
        numeric: whether it is set in columns of digits.
    """

    text: str
    key: str | float
    aside: str = ""
    span: Span | None = None
    numeric: bool = True


@dataclasses.dataclass(frozen=True)
class Row:
    """One row: the arm's index and CSS class, and the cells after its name."""

    arm: int
    css: str
    name: str
    cells: tuple[Cell, ...]
    strong: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """A table: headings (the first is the arm's) and rows."""

    headings: tuple[str, ...]
    rows: tuple[Row, ...]


def results(report: Report) -> Table:
    """Arm by solver by evaluations, with every measure the report has."""
    rated = any(result.rate is not None for result in report.results)
    attributes = list(dict.fromkeys(a for r in report.results for a in r.by_attribute))
    measured = report.distance is not None
    headings = ["Arm", "Solver", "Steps", "NFE", "Pictures"]
    headings += ["All right"] * rated + [a.capitalize() for a in attributes]
    headings += [report.distance.name] if report.distance is not None else []
    restored = any(result.psnr is not None for result in report.results)
    headings += ["PSNR, dB", "RMSE"] * restored
    extent = extent_of([result.rate for result in report.results])
    decimals = decimals_of([r.distance.value for r in report.results if r.distance is not None])
    rows = []
    for result in report.results:
        cells = _setting_cells(result)
        cells += [_rate_cell(result.rate, extent)] if rated else []
        cells += [_fraction_cell(result.by_attribute.get(a)) for a in attributes]
        cells += [_distance_cell(result.distance, decimals)] if measured else []
        if restored:
            cells += [_distance_cell(result.psnr, 2), _distance_cell(result.rmse, 2)]
        strong = result.setting == report.headline
        rows.append(_row(report, result.arm, cells, strong))
    return Table(tuple(headings), tuple(rows))


def measures(report: Report) -> Table:
    """Every arm by every measure, where arms are judged."""
    headings = ("Arm", *(each.metric for each in report.quality))
    rows = []
    for arm in report.arms if report.quality else ():
        cells = [_measure_cell(each, each.by_arm.get(arm.name)) for each in report.quality]
        rows.append(_row(report, arm.name, cells, False))
    return Table(headings, tuple(rows))


def paired(report: Report) -> Table:
    """Differences from the baseline with their intervals, and whether they stand out."""
    headings = ("Arm", "Against", "Solver", "Steps", "NFE", "Pairs", "Measure", "Difference")
    rows = []
    for group in _comparisons(report):
        apart = verdict.separated(group)
        widest = max(_reach(pair.difference) for pair in group) or 1.0
        for pair, stands_out in zip(group, apart, strict=True):
            cells = [
                Cell(pair.baseline, pair.baseline, numeric=False),
                *_setting_cells(pair),
                Cell(*_measure_name(report, pair), numeric=False),
                _difference_cell(pair, widest),
                Cell("" if pair.p_value is None else formats.p_value(pair.p_value), _p(pair)),
                Cell(_finding(pair, stands_out), _finding(pair, stands_out), numeric=False),
            ]
            rows.append(_row(report, pair.arm, cells, pair.setting == report.headline))
    return Table((*headings, "p", "Finding"), tuple(rows))


def _comparisons(report: Report) -> list[list[Paired]]:
    """Pairs that are looked at together: those of one setting and one measure."""
    groups: dict[tuple[Setting, str], list[Paired]] = {}
    for pair in report.paired:
        groups.setdefault((pair.setting, pair.measure), []).append(pair)
    # A stable sort: the setting that decides comes first, the others stay in order.
    return sorted(groups.values(), key=lambda group: group[0].setting != report.headline)


def _row(report: Report, name: str, cells: list[Cell], strong: bool) -> Row:
    index = [arm.name for arm in report.arms].index(name)
    return Row(index, style.css_class(index), name, tuple(cells), strong)


def _setting_cells(source: Result | Paired) -> list[Cell]:
    setting = source.setting
    lost = source.not_finite if isinstance(source, Result) else 0
    return [
        Cell(setting.solver, setting.solver, numeric=False),
        Cell(str(setting.steps), setting.steps),
        Cell(str(setting.nfe), setting.nfe),
        Cell(f"{source.count:,}", source.count, f"{lost:,} not finite" if lost else ""),
    ]


def _rate_cell(rate: Estimate | None, extent: tuple[float, float]) -> Cell:
    if rate is None:
        return _empty()
    span = span_of(rate, *extent)
    return Cell(formats.percent(rate.value), rate.value, formats.percent_interval(rate), span)


def _fraction_cell(value: float | None) -> Cell:
    return _empty() if value is None else Cell(formats.percent(value), value)


def _measure_cell(measure: Quality, found: Estimate | None) -> Cell:
    if found is None:
        return _empty()
    if measure.unit == "%":
        return Cell(formats.percent(found.value), found.value, formats.percent_interval(found))
    return _distance_cell(found, decimals_of([each.value for each in measure.by_arm.values()]))


def _distance_cell(distance: Estimate | None, decimals: int) -> Cell:
    if distance is None:
        return _empty()
    value, low, high = (formats.fixed(x, decimals) for x in (distance.value, *_ends(distance)))
    aside = "" if distance.low is None else f"{low} to {high}"
    return Cell(value, distance.value, aside)


def _difference_cell(pair: Paired, widest: float) -> Cell:
    difference = pair.difference
    span = span_of(difference, -1.04 * widest, 1.04 * widest)
    if pair.measure == "rate":
        text, aside = formats.points(difference.value), formats.points_interval(difference)
    else:
        text, aside = formats.signed_number(difference.value), formats.interval(difference)
    return Cell(text, difference.value, aside, span)


def _measure_name(report: Report, pair: Paired) -> tuple[str, str]:
    if pair.measure == "rate":
        return "all right, points", "rate"
    name = "distance" if report.distance is None else report.distance.name
    return name, name


def _finding(pair: Paired, stands_out: bool) -> str:
    if not stands_out:
        return "not separable"
    return "better" if verdict.gain(pair) > 0 else "worse"


def _reach(difference: Estimate) -> float:
    return max(abs(end) for end in (difference.value, *_ends(difference)))


def _ends(estimate: Estimate) -> tuple[float, float]:
    low, high = estimate.low, estimate.high
    return (estimate.value if low is None else low), (estimate.value if high is None else high)


def extent_of(estimates: list[Estimate | None]) -> tuple[float, float]:
    """The range that the small intervals of a column are drawn on, a little wider than they."""
    ends = [end for estimate in estimates if estimate is not None for end in _ends(estimate)]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def span_of(estimate: Estimate, start: float, end: float) -> Span:
    """An estimate with its interval, drawn on [start, end]."""
    low, high = _ends(estimate)
    scale = 100 / (end - start)
    return Span((low - start) * scale, (high - low) * scale, (estimate.value - start) * scale)


def decimals_of(values: list[float]) -> int:
    """Decimals for a column: three digits for its largest number, four if small ones need it."""
    sizes = [abs(value) for value in values if value and math.isfinite(value)]
    if not sizes:
        return 2
    largest, smallest = math.floor(math.log10(max(sizes))), math.floor(math.log10(min(sizes)))
    return max(2 - largest, min(1 - smallest, 3 - largest), 0)


def _p(pair: Paired) -> float:
    return 2.0 if pair.p_value is None else pair.p_value


def _empty() -> Cell:
    return Cell(formats.UNKNOWN, "")
