"""What a report says, in plain words, and no more than it can say.

With several training seeds, arms are called better or worse by what seeds show. With one, only the
sampling error of these trained networks is known, and no arm is called better.
"""

import dataclasses
from collections.abc import Sequence

from diffusion_jax.reports import formats
from diffusion_jax.reports.comparisons import means
from diffusion_jax.reports.content import DONE, Report
from diffusion_jax.reports.rows import Comparison, sampling_text
from diffusion_jax.reports.tables import decimals_of
from diffusion_jax.statistics import many_to_one

MOST_NAMES = 8
MOST_AMOUNTS = 3


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
    """Which arms separate from the baseline where they are judged, and which do not.

    Arms that failed or diverged come first. Differences are those of `report.comparisons`; shares
    should be in percent, see `comparisons.in_percent`.
    """
    pairs = report.judged
    lead = _separated(report, pairs) if pairs else _nothing(report)
    warning = " ".join(filter(None, (_trouble(report), *report.warnings)))
    return Verdict(lead, tuple(_details(report, pairs)), warning)


def _trouble(report: Report) -> str:
    troubled = [f"{arm.name} ({arm.status})" for arm in report.arms if arm.status != DONE]
    if not troubled:
        return ""
    number = "1 arm" if len(troubled) == 1 else f"{len(troubled)} arms"
    return f"{number} of {len(report.arms)} did not run whole: {_some(troubled)}."


def _nothing(report: Report) -> str:
    if len(report.arms) == 1:
        return f"One arm was measured: {report.arms[0].name}. There is nothing to compare."
    return "Nothing was compared by the metric that the arms are judged by."


def _separated(report: Report, pairs: Sequence[Comparison]) -> str:
    if all(pair.verdict == many_to_one.NO_NUMBER for pair in pairs):
        return _none_left(report)
    said = {verdict: [p for p in pairs if p.verdict == verdict] for verdict in many_to_one.VERDICTS}
    base = f"the baseline {report.baseline}{_level(report, pairs)}"
    parts = []
    for verdict, words in ((many_to_one.BETTER, "Better than"), (many_to_one.WORSE, "Worse than")):
        if said[verdict]:
            parts.append(f"{words} {base}: {_amounts(said[verdict])}.")
            base = "it"
    unsure = said[many_to_one.OPEN]
    if unsure and not parts:
        largest = max(unsure, key=lambda pair: abs(pair.difference.value))
        parts.append(
            f"No winner: the measurements cannot separate {_all(unsure)} from {base}. "
            f"The largest difference is {_amounts([largest])}."
        )
        base = "it"
    elif unsure:
        parts.append(f"Not separable from {base}: {_all(unsure)}.")
    if said[many_to_one.ONE_SEED]:
        parts.append(_one_seed(said[many_to_one.ONE_SEED], base))
        base = "it"
    if said[many_to_one.IDENTICAL]:
        parts.append(f"Identical to {base}, number by number: {_all(said[many_to_one.IDENTICAL])}.")
    named = {arm.name for arm in report.arms if arm.status != DONE}
    lost = [pair for pair in said[many_to_one.NO_NUMBER] if pair.arm not in named]
    if lost:
        parts.append(f"Without a number: {_names(lost)}.")
    return " ".join(parts)


def _none_left(report: Report) -> str:
    left = [arm for arm, mean in means(report).get(report.judged_by, {}).items() if mean]
    if not left:
        return "No arm has a number where arms are judged."
    if report.baseline in left:
        return f"Nothing to compare: no arm but the baseline {report.baseline} has a number."
    return f"The baseline {report.baseline} has no number, so no arm can be compared with it."


def _one_seed(pairs: Sequence[Comparison], base: str) -> str:
    beyond = [pair for pair in pairs if pair.difference.excludes_zero]
    verb = "lies" if len(beyond) < 2 else "lie"
    return (
        f"No winner can be named: {_all(pairs)} {'shares' if len(pairs) == 1 else 'share'} one "
        f"training seed with {base}, and another seed may change any difference. Beyond the "
        f"sampling error of these trained networks {verb} {_amounts(beyond) if beyond else 'none'}."
    )


def _details(report: Report, pairs: Sequence[Comparison]) -> list[str]:
    metric = report.metric(report.judged_by.metric)
    how = f", {sampling_text(report.judged_by.sampling)}" if report.judged_by.sampling else ""
    seeds = "1 training seed" if len(report.seeds) == 1 else f"{len(report.seeds)} training seeds"
    over = seeds if report.seeds else "samples of one model"
    done = "trained" if report.seeds else "drawn"
    details = [
        f"Judged by {metric.label} ({metric.better} is better){how}, over {over}, at equal "
        f"{'wall time' if report.budget == 'time' else report.budget}. Metric and sampling were "
        f"fixed before anything was {done}."
    ]
    if metric.floor:
        real = f"Real examples with the same captions get {metric.of_real}"
        details.append(f"{real}: a perfect model would too.")
    return details + _correction(report, pairs) + _elsewhere(report)


def _correction(report: Report, pairs: Sequence[Comparison]) -> list[str]:
    tested = [pair for pair in pairs if pair.p_adjusted is not None]
    if not tested:
        return []
    family = sum(pair.verdict != many_to_one.NO_NUMBER for pair in pairs)
    one = min(pair.seeds for pair in tested) == 1 and bool(report.seeds)
    compared = "1 arm was" if family == 1 else f"{family} arms were"
    limits = (
        " They are about other samples of the same trained networks, not about other trainings."
    )
    details = [
        f"{compared} compared with the baseline; p-values, and the 95% intervals in brackets, are "
        f"adjusted for that number and hold for all at once.{limits if one else ''}"
    ]
    if sum(pair.verdict == many_to_one.BETTER for pair in pairs) > 1:
        details.append(
            "Each arm is compared with the baseline only: which of the better ones is best is "
            "left open."
        )
    return details


def _elsewhere(report: Report) -> list[str]:
    silent = (many_to_one.ONE_SEED, many_to_one.NO_NUMBER)
    others = [
        pair
        for pair in report.comparisons
        if pair.criterion != report.judged_by and pair.verdict not in silent
    ]
    families = len({pair.criterion for pair in others})
    if not families:
        return []
    called = [c for c in others if c.verdict in (many_to_one.BETTER, many_to_one.WORSE)]
    return [
        f"{families} more combination{'s' * (families > 1)} of metric and sampling "
        f"{'were' if families > 1 else 'was'} measured, each adjusted for its own arms only: "
        f"{len(called)} of {len(others)} differences stand out there. They are leads to follow, "
        "not findings."
    ]


def _level(report: Report, pairs: Sequence[Comparison]) -> str:
    fullest = max(pairs, key=lambda pair: pair.seeds)
    metric = report.metric(fullest.metric)
    unit = metric.unit if metric.unit in ("", "%") else f" {metric.unit}"
    return f" ({metric.label} {formats.number(fullest.baseline.value)}{unit})"


def _amounts(pairs: Sequence[Comparison]) -> str:
    ordered = sorted(pairs, key=lambda pair: abs(pair.difference.value), reverse=True)
    decimals = decimals_of([abs(ordered[0].difference.value)])
    sizes = [formats.signed(pair.difference.value, decimals) for pair in ordered]
    if len(ordered) > MOST_AMOUNTS:
        return f"{_names(ordered)}, by {sizes[0]} to {sizes[-1]}"
    ends = [formats.fixed_interval(pair.difference, decimals) for pair in ordered]
    return "; ".join(
        f"{pair.arm}, {size}" + (f" ({between})" if between else "")
        for pair, size, between in zip(ordered, sizes, ends, strict=True)
    )


def _all(pairs: Sequence[Comparison]) -> str:
    """The arms' names, or their number where that is easier to read."""
    return _names(pairs) if len(pairs) <= MOST_NAMES else f"{len(pairs)} arms"


def _names(pairs: Sequence[Comparison]) -> str:
    return _some([pair.arm for pair in pairs])


def _some(words: list[str]) -> str:
    shown = words[:MOST_NAMES]
    return formats.listed(
        [*shown, f"{len(words) - len(shown)} more"] if len(words) > len(shown) else shown
    )
