"""The report's tables as rows ready for the page: text to read, a number to sort by."""

import dataclasses

from diffusion_jax.reports import formats, style, verdict
from diffusion_jax.reports.content import Estimate, Paired, Report, Result


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
    rows = []
    for result in report.results:
        cells = _setting_cells(result)
        cells += [_rate_cell(result.rate)] if rated else []
        cells += [_fraction_cell(result.by_attribute.get(a)) for a in attributes]
        cells += [_distance_cell(result.distance)] if measured else []
        strong = result.setting == report.headline
        rows.append(_row(report, result.arm, cells, strong))
    return Table(tuple(headings), tuple(rows))


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
    groups: dict[tuple[object, str], list[Paired]] = {}
    for pair in report.paired:
        groups.setdefault((pair.setting, pair.measure), []).append(pair)
    return list(groups.values())


def _row(report: Report, name: str, cells: list[Cell], strong: bool) -> Row:
    index = [arm.name for arm in report.arms].index(name)
    return Row(index, style.css_class(index), name, tuple(cells), strong)


def _setting_cells(source: Result | Paired) -> list[Cell]:
    setting = source.setting
    return [
        Cell(setting.solver, setting.solver, numeric=False),
        Cell(str(setting.steps), setting.steps),
        Cell(str(setting.nfe), setting.nfe),
        Cell(f"{source.count:,}", source.count),
    ]


def _rate_cell(rate: Estimate | None) -> Cell:
    if rate is None:
        return _empty()
    low = rate.value if rate.low is None else rate.low
    high = rate.value if rate.high is None else rate.high
    span = Span(100 * low, 100 * (high - low), 100 * rate.value)
    return Cell(formats.percent(rate.value), rate.value, formats.percent_interval(rate), span)


def _fraction_cell(value: float | None) -> Cell:
    return _empty() if value is None else Cell(formats.percent(value), value)


def _distance_cell(distance: Estimate | None) -> Cell:
    if distance is None:
        return _empty()
    return Cell(formats.number(distance.value), distance.value, formats.interval(distance))


def _difference_cell(pair: Paired, widest: float) -> Cell:
    difference = pair.difference
    low = difference.value if difference.low is None else difference.low
    high = difference.value if difference.high is None else difference.high
    at = [50 + 48 * value / widest for value in (low, high, difference.value)]
    span = Span(at[0], at[1] - at[0], at[2])
    if pair.measure == "rate":
        text, aside = formats.points(difference.value), formats.points_interval(difference)
    else:
        text, aside = formats.number(difference.value), formats.interval(difference)
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
    ends = (difference.value, difference.low, difference.high)
    return max(abs(end) for end in ends if end is not None)


def _p(pair: Paired) -> float:
    return 2.0 if pair.p_value is None else pair.p_value


def _empty() -> Cell:
    return Cell(formats.UNKNOWN, "")
