"""Arms compared over training seeds: means, paired differences, and what may be said of them.

Arm a and the baseline b were trained with the same seeds s = 1 … n, which share pictures, noise
and initial parameters. So the seed-wise differences d_s = y_as - y_bs are what to judge by:

    t = mean(d) / (std(d) / sqrt(n)),    p = P(|T_{n-1}| >= |t|),    p_adjusted = min(1, m p)

with m the number of arms held against the baseline by one metric in one way of sampling: that is
the family. The interval of each difference uses the quantile at 1 - 0.05 / (2 m), so all m of them
hold at once with probability 0.95, and one excludes zero exactly where p_adjusted < 0.05: number,
interval and verdict are one statement. (Holm's procedure calls a little more, but no two-sided
interval says the same as it does.)

What it rests on: arms that do not differ have symmetric differences (the same arm twice does,
whatever its distribution), normal ones for the exact level; heavy tails lower the rate of false
alarms. A metric that is coarse beside its noise, such as a rate on few samples, can show the same
difference in every seed by chance: `difference_errors` keep the error above the sampling error.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from scipy import special

from diffusion_jax.errors import one_of

LEVEL = 0.05
BETTER, WORSE, OPEN = "better", "worse", "not separable"
IDENTICAL, ONE_SEED, NO_NUMBER = "identical", "one seed: sampling error only", "no number"
VERDICTS = (BETTER, WORSE, OPEN, IDENTICAL, ONE_SEED, NO_NUMBER)
METHOD = (
    "Differences are taken seed by seed from the baseline and judged by a two-sided t-test over "
    "seeds; p-values and intervals are adjusted by Bonferroni's method for the number of arms "
    "compared by the same metric in the same way."
)
# A spread below this part of the numbers themselves is their rounding in float32.
ROUNDING = 1e-6

Numbers = Float[np.ndarray, "*batch"]


@dataclasses.dataclass(frozen=True)
class MeanInterval:
    """A mean over seeds with its 95% interval and the p-value of being zero.

    Attributes:
        value: (*batch) the mean.
        low: (*batch) lower end; NaN where nothing is known of the noise.
        high: (*batch) upper end.
        p_value: (*batch) two-sided, unadjusted; NaN like the ends.
        p_adjusted: (*batch) adjusted for the number of comparisons.
    """

    value: Numbers
    low: Numbers
    high: Numbers
    p_value: Numbers
    p_adjusted: Numbers


@dataclasses.dataclass(frozen=True)
class Compared:
    """One arm against the baseline by one metric in one way.

    Attributes:
        seeds: number of seeds that both have.
        mean: of the arm over them; NaN without a number.
        low: lower end of the mean's own 95% interval, or None.
        high: upper end.
        baseline_mean: of the baseline over the same seeds.
        difference: the arm's mean minus the baseline's.
        diff_low: lower end of the simultaneous 95% interval, or None.
        diff_high: upper end.
        p_value: two-sided, unadjusted, or None.
        p_adjusted: adjusted for all arms of the family, or None.
        verdict: one of `VERDICTS`.
    """

    seeds: int
    mean: float
    low: float | None
    high: float | None
    baseline_mean: float
    difference: float
    diff_low: float | None
    diff_high: float | None
    p_value: float | None
    p_adjusted: float | None
    verdict: str


def critical(seeds: int, comparisons: int = 1) -> float:
    """How many standard errors a difference must measure to be called one.

    Student's quantile with n - 1 degrees of freedom at 1 - 0.05 / (2 m); the normal one for a
    single seed, which is judged by its sampling error.

    Args:
        seeds: n.
        comparisons: m.

    Source: Student 1908; Dunn 1961 for the adjustment.

    >>> round(critical(5), 3), round(critical(2, comparisons=10), 1)
    (2.776, 127.3)
    """
    return float(-special.stdtrit(_freedom(seeds), LEVEL / (2 * comparisons)))


def mean_interval(
    values: Float[np.ndarray, "*batch seeds"],
    errors: Float[np.ndarray, "*batch seeds"] | None = None,
    comparisons: int = 1,
) -> MeanInterval:
    """The mean over seeds, its 95% interval, and the p-value of it being zero.

    The standard error is the greater of std / sqrt(n) and, where sampling errors e_s are given,
    sqrt(sum e_s²) / n: seeds cannot scatter less than samples make them. With one seed only the
    latter is left.

    Args:
        values: (*batch, n) finite.
        errors: standard errors over samples of each value, or None.
        comparisons: number of means whose intervals shall hold at once.

    Source: Student 1908; Dunn 1961 for the adjustment.

    >>> found = mean_interval(np.array([1.0, 2.0, 3.0]))
    >>> [round(float(x), 3) for x in (found.value, found.low, found.high, found.p_value)]
    [2.0, -0.484, 4.484, 0.074]
    """
    n = values.shape[-1]
    mean = np.asarray(values.mean(-1))
    spread = np.asarray(values.std(-1, ddof=1) / math.sqrt(n)) if n > 1 else np.zeros_like(mean)
    # The spread of equal numbers is their mean's rounding.
    spread = np.where(spread > 1e-12 * np.abs(mean), spread, 0.0)
    sampling = 0.0 if errors is None else np.sqrt(np.square(errors).sum(-1)) / n
    error = np.maximum(spread, sampling)
    known = error > 0
    t = np.abs(mean) / np.where(known, error, 1.0)
    p_value = np.where(known, 2 * special.stdtr(_freedom(n), -t), np.nan)
    reach = np.where(known, critical(n, comparisons) * error, np.nan)
    p_adjusted = np.minimum(comparisons * p_value, 1.0)
    return MeanInterval(*map(np.asarray, (mean, mean - reach, mean + reach, p_value, p_adjusted)))


def compare(
    values: Mapping[str, Mapping[int, float]],
    baseline: str,
    better: str,
    errors: Mapping[str, Mapping[int, float]] | None = None,
    difference_errors: Mapping[str, Mapping[int, float]] | None = None,
) -> dict[str, Compared]:
    """Holds every arm against the baseline by one metric in one way: one family.

    An arm is judged over the seeds that it shares with the baseline. One of which any seed is not
    finite has diverged: it has no number, for a mean of the others would be one of survivors.

    Args:
        values: arm -> training seed -> value; not finite where that seed diverged.
        baseline: name of the arm to compare with.
        better: "lower" or "higher".
        errors: arm -> seed -> standard error of the value over samples, where known.
        difference_errors: arm -> seed -> standard error over samples of the value's difference
            from the baseline's, paired sample by sample, where known.

    Returns:
        Each arm but the baseline, in order.

    Raises:
        UserError: `better` is neither "lower" nor "higher".

    >>> two = {"base": {0: 1.0, 1: 1.2, 2: 1.1}, "other": {0: 0.5, 1: 0.71, 2: 0.59}}
    >>> found = compare(two, "base", better="lower")["other"]
    >>> found.verdict, round(found.difference, 3), round(found.p_adjusted, 5)
    ('better', -0.5, 0.00013)
    """
    one_of(better, ("lower", "higher"), "direction of a metric")
    base = values.get(baseline, {})
    others = {arm: row for arm, row in values.items() if arm != baseline}
    judged = [arm for arm, row in others.items() if row.keys() & base and _finite(row, base)]
    return {
        arm: _compare(
            row,
            base,
            better,
            len(judged),
            (errors or {}).get(arm, {}),
            (difference_errors or {}).get(arm, {}),
        )
        if arm in judged
        else _without_number(row, base)
        for arm, row in others.items()
    }


def _compare(
    arm: Mapping[int, float],
    base: Mapping[int, float],
    better: str,
    comparisons: int,
    errors: Mapping[int, float],
    difference_errors: Mapping[int, float],
) -> Compared:
    seeds = sorted(arm.keys() & base)
    own, against = (np.array([row[seed] for seed in seeds], np.float64) for row in (arm, base))
    difference = own - against
    if len(seeds) > 1 and difference.std() < ROUNDING * np.abs([own, against]).max():
        # Differences equal up to rounding are equal: their spread must not pass for a tiny error.
        difference = np.full_like(difference, difference.mean())
    mean = mean_interval(own, _all_known(errors, seeds))
    gap = mean_interval(difference, _all_known(difference_errors, seeds), comparisons)
    identical = not (own - against).any()
    low, high = (0.0, 0.0) if identical else (_or_none(gap.low), _or_none(gap.high))
    return Compared(
        len(seeds),
        float(mean.value),
        _or_none(mean.low),
        _or_none(mean.high),
        float(against.mean()),
        float(gap.value),
        low,
        high,
        None if identical else _or_none(gap.p_value),
        None if identical else _or_none(gap.p_adjusted),
        IDENTICAL if identical else _verdict(gap, better, len(seeds)),
    )


def _verdict(gap: MeanInterval, better: str, seeds: int) -> str:
    if seeds == 1:
        return ONE_SEED
    if not gap.p_adjusted < LEVEL:
        return OPEN
    return BETTER if (gap.value < 0) == (better == "lower") else WORSE


def _without_number(arm: Mapping[int, float], base: Mapping[int, float]) -> Compared:
    seeds = arm.keys() & base
    means = [
        float(np.mean([row[seed] for seed in seeds])) if seeds and _finite(row) else math.nan
        for row in (arm, base)
    ]
    return Compared(
        len(seeds), means[0], None, None, means[1], math.nan, None, None, None, None, NO_NUMBER
    )


def _freedom(seeds: int) -> float:
    """Degrees of freedom: a single seed's sampling error is known, as if from infinitely many."""
    return seeds - 1 if seeds > 1 else math.inf


def _finite(*rows: Mapping[int, float]) -> bool:
    return all(math.isfinite(value) for row in rows for value in row.values())


def _all_known(
    errors: Mapping[int, float], seeds: Sequence[int]
) -> Float[np.ndarray, " seeds"] | None:
    """Errors of these seeds, None unless all are known."""
    if not all(seed in errors for seed in seeds):
        return None
    return np.array([errors[seed] for seed in seeds], np.float64)


def _or_none(value: Numbers) -> float | None:
    return None if math.isnan(value) else float(value)
