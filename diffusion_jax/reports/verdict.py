"""What the comparison says, in plain words, and no more than it can say.

An arm is called better or worse than the baseline only if the paired difference stands out
from its noise after adjusting for the number of arms compared (Holm, 1979: "A simple
sequentially rejective multiple test procedure"); else the data cannot separate the two.
"""

import dataclasses
from collections.abc import Sequence

from diffusion_jax.reports import formats
from diffusion_jax.reports.content import Paired, Report, Result
from diffusion_jax.statistics.estimate import Estimate

LEVEL = 0.05
MOST_TOLD = 3


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The first paragraph of a report.

    Attributes:
        lead: the one sentence to remember.
        details: further sentences.
        warning: what must be known before it, such as arms that failed; may be empty.
    """

    lead: str
    details: tuple[str, ...] = ()
    warning: str = ""


def judge(report: Report) -> Verdict:
    """Compares the arms at the report's headline setting.

    The measure is the exact-match rate where a checker gave one, else the distance.
    """
    results = {r.arm: r for r in report.results if r.setting == report.headline}
    warning = " ".join(report.warnings)
    if not results:
        return Verdict("Nothing was measured at the headline setting.", warning=warning)
    measure = "rate" if any(r.rate for r in results.values()) else "distance"
    pairs = [
        pair
        for pair in report.paired
        if pair.setting == report.headline and pair.measure == measure
    ]
    lead = _compare(pairs, results) if pairs else _describe(results, report)
    return Verdict(lead, tuple(_details(pairs, results, report)), warning)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values: max over the smaller ones of (m - rank) p, at most 1.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        running = max(running, (len(p_values) - rank) * p_values[index])
        adjusted[index] = min(1.0, running)
    return adjusted


def separated(pairs: Sequence[Paired]) -> list[bool]:
    """Whether each difference stands out from its noise, given that all were looked at.

    Where p-values are known, Holm's adjusted one must be below 0.05; where only an interval is,
    the interval must exclude zero.
    """
    known = [i for i, pair in enumerate(pairs) if pair.p_value is not None]
    adjusted = dict(zip(known, holm([pairs[i].p_value or 0.0 for i in known]), strict=True))
    return [
        adjusted[i] < LEVEL if i in adjusted else _excludes_zero(pair.difference)
        for i, pair in enumerate(pairs)
    ]


def _excludes_zero(difference: Estimate) -> bool:
    low, high = difference.low, difference.high
    return low is not None and high is not None and (low > 0 or high < 0)


def _compare(pairs: list[Paired], results: dict[str, Result]) -> str:
    apart = separated(pairs)
    better = [p for p, s in zip(pairs, apart, strict=True) if s and gain(p) > 0]
    worse = [p for p, s in zip(pairs, apart, strict=True) if s and gain(p) < 0]
    open_ = [p for p, s in zip(pairs, apart, strict=True) if not s]
    base = pairs[0].baseline
    baseline = f"the baseline {base}{_in_brackets(results.get(base))}"
    if not better and not worse:
        largest = max(pairs, key=lambda pair: abs(pair.difference.value))
        return (
            f"No winner: the measurements cannot separate {_names(open_)} from {baseline}. "
            f"The largest difference, {largest.arm}, is {_amount(largest)}."
        )
    parts = []
    if better:
        parts.append(f"Better than {baseline}: {_all_amounts(better)}.")
    if worse:
        against = "it" if better else baseline
        parts.append(f"Worse than {against}: {_all_amounts(worse)}.")
    if open_:
        parts.append(f"Not separable from it: {_names(open_)}.")
    return " ".join(parts)


def _describe(results: dict[str, Result], report: Report) -> str:
    if all(result.not_finite for result in results.values()):
        return "No arm has a number where arms are judged."
    results = {arm: result for arm, result in results.items() if not result.not_finite}
    told = [f"{arm}{_in_brackets(result)}" for arm, result in results.items()]
    if len(results) == 1:
        return f"One arm was measured: {told[0]}."
    return (
        f"Measured: {formats.listed(told)}. No paired differences were computed, so this report "
        "does not say which arm is better."
    )


def _details(pairs: list[Paired], results: dict[str, Result], report: Report) -> list[str]:
    headline = report.headline
    counts = sorted({result.count for result in results.values()})
    details = [
        f"Judged at {headline.solver}, {headline.steps} steps ({headline.nfe} denoiser "
        f"evaluations a picture), on {formats.listed([f'{c:,}' for c in counts])} pictures per "
        "arm" + (", with the same captions and the same noise in every arm." if pairs else ".")
    ]
    better = sum(s and gain(p) > 0 for p, s in zip(pairs, separated(pairs), strict=True))
    if better > 1:
        details.append(
            f"Each arm is compared with the baseline only; which of the {better} better ones is "
            "best is left open."
        )
    if report.ceiling is not None and any(r.rate for r in results.values()):
        details.append(
            f"The checker accepts {formats.percent(report.ceiling.value)} of real pictures: "
            "that is as good as it gets."
        )
    return details


def gain(pair: Paired) -> float:
    """How much better the arm is than the baseline, in the measure's unit."""
    return pair.difference.value if pair.measure == "rate" else -pair.difference.value


def _names(pairs: list[Paired]) -> str:
    return formats.listed([pair.arm for pair in pairs])


def _all_amounts(pairs: list[Paired]) -> str:
    ordered = sorted(pairs, key=gain, reverse=True)
    if len(ordered) > MOST_TOLD:
        ends = [_size(ordered[0]), _size(ordered[-1])]
        return f"{_names(ordered)}, by {ends[0]} to {ends[1]} (intervals are in the table)"
    return "; ".join(f"{pair.arm}, {_amount(pair)}" for pair in ordered)


def _amount(pair: Paired) -> str:
    interval = formats.points_interval if pair.measure == "rate" else formats.interval
    text = interval(pair.difference)
    return f"{_size(pair)} (95% interval {text})" if text else _size(pair)


def _size(pair: Paired) -> str:
    if pair.measure == "rate":
        return f"{formats.points(pair.difference.value)} points"
    return formats.signed_number(pair.difference.value)


def _in_brackets(result: Result | None) -> str:
    if result is None:
        return ""
    if result.rate is not None:
        return f" ({formats.percent(result.rate.value)} right)"
    if result.distance is not None:
        return f" (distance {formats.number(result.distance.value)})"
    return ""
