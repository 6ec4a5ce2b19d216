"""What a sweep says, in plain words, and no more than it can say."""

from collections.abc import Sequence

from diffusion_jax.reports import formats
from diffusion_jax.reports.content import Setting
from diffusion_jax.reports.sweep_comparisons import by_way, estimate
from diffusion_jax.reports.sweep_content import DONE, Comparison, Metric, SweepReport
from diffusion_jax.reports.tables import decimals_of
from diffusion_jax.reports.verdict import Verdict
from diffusion_jax.statistics import replicates

MOST_NAMES = 8
MOST_AMOUNTS = 3


def judge(report: SweepReport) -> Verdict:
    """Which arms separate from the baseline at the headline, and which do not.

    Arms that failed or diverged come first. Differences are those of `report.comparisons`; shares
    should be in percent, see `sweep_comparisons.in_percent`.
    """
    pairs = headline(report)
    lead = _separated(report, pairs) if pairs else _nothing(report)
    return Verdict(lead, tuple(_details(report, pairs)), _trouble(report))


def headline(report: SweepReport) -> list[Comparison]:
    """The comparisons that the arms are judged by, in their order."""
    return [pair for pair in report.comparisons if _judged(report, pair)]


def metric_of(report: SweepReport, name: str) -> Metric:
    """The metric of that name."""
    return next(metric for metric in report.metrics if metric.name == name)


def way_text(way: Setting | None) -> str:
    """How samples were drawn, in a few words; steps or evaluations that arms do not share are 0.

    >>> way_text(Setting("heun", 16, 31)), way_text(Setting("each arm's own", 0, 8)), way_text(None)
    ('heun, 16 steps, NFE 31', "each arm's own, NFE 8", 'no sampling')
    """
    if way is None:
        return "no sampling"
    steps = f", {way.steps} steps" if way.steps else ""
    return f"{way.solver}{steps}" + (f", NFE {way.nfe}" if way.nfe else "")


def excludes_zero(pair: Comparison) -> bool:
    """Whether the difference's interval lies on one side of zero."""
    low, high = pair.diff_low, pair.diff_high
    return low is not None and high is not None and (low > 0 or high < 0)


def _judged(report: SweepReport, pair: Comparison) -> bool:
    return (pair.metric, pair.way) == (report.headline.metric, report.headline.way)


def _trouble(report: SweepReport) -> str:
    troubled = [f"{arm.name} ({arm.status})" for arm in report.arms if arm.status != DONE]
    if not troubled:
        return ""
    number = "1 arm" if len(troubled) == 1 else f"{len(troubled)} arms"
    return f"{number} of {len(report.arms)} did not run whole: {_some(troubled)}."


def _nothing(report: SweepReport) -> str:
    if len(report.arms) == 1:
        return f"One arm was measured, {report.arms[0].name}: there is nothing to compare."
    return "Nothing was compared by the metric that the arms are judged by."


def _separated(report: SweepReport, pairs: Sequence[Comparison]) -> str:
    if all(pair.verdict == replicates.NO_NUMBER for pair in pairs):
        return _none_left(report)
    said = {verdict: [p for p in pairs if p.verdict == verdict] for verdict in replicates.VERDICTS}
    base = f"the baseline {report.baseline}{_level(report, pairs)}"
    parts = []
    for verdict, words in ((replicates.BETTER, "Better than"), (replicates.WORSE, "Worse than")):
        if said[verdict]:
            parts.append(f"{words} {base}: {_amounts(said[verdict])}.")
            base = "it"
    unsure = said[replicates.OPEN]
    if unsure and not parts:
        largest = max(unsure, key=lambda pair: abs(pair.difference))
        parts.append(
            f"No winner: the measurements cannot separate {_all(unsure)} from {base}. "
            f"The largest difference is {_amounts([largest])}."
        )
        base = "it"
    elif unsure:
        parts.append(f"Not separable from {base}: {_all(unsure)}.")
    if said[replicates.ONE_SEED]:
        parts.append(_one_seed(said[replicates.ONE_SEED], base))
        base = "it"
    if said[replicates.IDENTICAL]:
        parts.append(f"Identical to {base}, number by number: {_all(said[replicates.IDENTICAL])}.")
    told = {arm.name for arm in report.arms if arm.status != DONE}
    lost = [pair for pair in said[replicates.NO_NUMBER] if pair.arm not in told]
    if lost:
        parts.append(f"Without a number: {_names(lost)}.")
    return " ".join(parts)


def _none_left(report: SweepReport) -> str:
    judged = (report.headline.metric, report.headline.way)
    of_base = by_way(report.measurements).get(judged, {}).get(report.baseline, {})
    if of_base and estimate(of_base):
        return f"Nothing to compare: no arm but the baseline {report.baseline} has a number."
    return f"The baseline {report.baseline} has no number, so no arm can be compared with it."


def _one_seed(pairs: Sequence[Comparison], base: str) -> str:
    beyond = [pair for pair in pairs if excludes_zero(pair)]
    return (
        f"No winner can be named: {_all(pairs)} {'shares' if len(pairs) == 1 else 'share'} one "
        f"training seed with {base}, and another seed may change any difference. Beyond the "
        f"sampling error of these trained networks {_are(beyond)}."
    )


def _are(beyond: Sequence[Comparison]) -> str:
    if not beyond:
        return "lies none"
    return f"{'lies' if len(beyond) == 1 else 'lie'} {_amounts(beyond)}"


def _details(report: SweepReport, pairs: Sequence[Comparison]) -> list[str]:
    metric = metric_of(report, report.headline.metric)
    how = f", {way_text(report.headline.way)}" if report.headline.way else ""
    seeds = "1 training seed" if len(report.seeds) == 1 else f"{len(report.seeds)} training seeds"
    details = [
        f"Judged by {metric.label} ({metric.better} is better){how}, over {seeds}, at equal "
        f"{'wall time' if report.budget == 'time' else report.budget}. Metric and way were fixed "
        "before the sweep ran."
    ]
    return details + _correction(report, pairs) + _elsewhere(report)


def _correction(report: SweepReport, pairs: Sequence[Comparison]) -> list[str]:
    tested = [pair for pair in pairs if pair.p_adjusted is not None]
    if not tested:
        return []
    family = sum(pair.verdict != replicates.NO_NUMBER for pair in pairs)
    seeds = min(pair.seeds for pair in tested)
    needed = (
        "They are about other samples of the same trained networks, not about other trainings."
        if seeds == 1
        else f"With {seeds} seeds a difference is called one from "
        f"{formats.number(replicates.critical(seeds, family), 2)} standard errors on."
    )
    compared = "1 arm was" if family == 1 else f"{family} arms were"
    details = [
        f"{compared} compared with the baseline; p-values, and the 95% intervals in brackets, are "
        f"adjusted for that number (Bonferroni), so the chance of calling any arm different that "
        f"is not stays below 5%. {needed}"
    ]
    if sum(pair.verdict == replicates.BETTER for pair in pairs) > 1:
        details.append(
            "Each arm is compared with the baseline only: which of the better ones is best is "
            "left open."
        )
    return details


def _elsewhere(report: SweepReport) -> list[str]:
    silent = (replicates.ONE_SEED, replicates.NO_NUMBER)
    others = [
        pair
        for pair in report.comparisons
        if not _judged(report, pair) and pair.verdict not in silent
    ]
    families = len({(c.metric, c.way) for c in others})
    if not families:
        return []
    called = [c for c in others if c.verdict in (replicates.BETTER, replicates.WORSE)]
    return [
        f"{families} more combination{'s' * (families > 1)} of metric and way "
        f"{'were' if families > 1 else 'was'} measured, each adjusted for its own arms only: "
        f"{len(called)} of {len(others)} differences stand out there. They are leads to follow, "
        "not findings of this sweep."
    ]


def _level(report: SweepReport, pairs: Sequence[Comparison]) -> str:
    fullest = max(pairs, key=lambda pair: pair.seeds)
    metric = metric_of(report, fullest.metric)
    unit = metric.unit if metric.unit in ("", "%") else f" {metric.unit}"
    return f" ({metric.label} {formats.number(fullest.baseline_mean)}{unit})"


def _amounts(pairs: Sequence[Comparison]) -> str:
    ordered = sorted(pairs, key=lambda pair: abs(pair.difference), reverse=True)
    decimals = decimals_of([abs(ordered[0].difference)])
    sizes = [formats.signed(pair.difference, decimals) for pair in ordered]
    if len(ordered) > MOST_AMOUNTS:
        return f"{_names(ordered)}, by {sizes[0]} to {sizes[-1]}"
    return "; ".join(
        f"{pair.arm}, {size}{_interval(pair, decimals)}"
        for pair, size in zip(ordered, sizes, strict=True)
    )


def _interval(pair: Comparison, decimals: int) -> str:
    if pair.diff_low is None or pair.diff_high is None:
        return ""
    return (
        f" ({formats.fixed(pair.diff_low, decimals)} to {formats.fixed(pair.diff_high, decimals)})"
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
