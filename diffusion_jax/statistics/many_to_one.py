"""Arms held against a baseline over training seeds: differences, intervals, verdicts.

Arm a and the baseline were trained with the same seeds s = 1 … n, which share data, noise and
initial parameters. So the seed-wise differences y_as - y_0s are what to judge by:

    t_a = |mean_s (y_as - y_0s)| / error_a

with an error that borrows from the scatter of all arms (`statistics.scatter`) and a distribution
that allows for arms that scatter up to three times as much as others (`statistics.reference`). The
family is all arms held against the baseline by one metric of one sampling. The intervals hold
at once with probability 0.95 where arms scatter alike, 0.94 at worst. Number, interval and verdict
are one statement: an interval excludes zero exactly where `p_adjusted` is below 0.05, which is
where the verdict says "better" or "worse".

- An arm is judged over the seeds that it shares with the baseline, beside the arms that have all
  of these seeds. Groups of arms with different seeds share the family's error by their sizes.
- An arm whose scatter stands out beyond doubt tells nothing of the others': it is set aside and
  judged by its own paired t-test with Bonferroni's adjustment. So is each arm if the baseline's
  does.
- A metric that is coarse beside its noise, such as a rate on few samples, can show the same
  difference in every seed by chance: `difference_errors` keep the error above the sampling error.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from diffusion_jax.errors import one_of
from diffusion_jax.statistics.estimate import Estimate
from diffusion_jax.statistics.reference import LEVEL, Moderated, Student, reference
from diffusion_jax.statistics.scatter import difference_variance, outlying, scatter

BETTER, WORSE, OPEN = "better", "worse", "not separable"
IDENTICAL, ONE_SEED, NO_NUMBER = "identical", "one seed: sampling error only", "no number"
VERDICTS = (BETTER, WORSE, OPEN, IDENTICAL, ONE_SEED, NO_NUMBER)
METHOD = (
    "Differences are taken seed by seed from the baseline. Their errors borrow from the scatter of "
    "all arms over seeds, the more the fewer seeds there are; p-values and intervals are adjusted "
    "for the number of arms compared by the same metric of the same sampling. The chance of "
    "calling any arm different that is not is at most 5% where arms scatter alike over seeds, and "
    "at most 6% where one scatters up to three times as much as the others."
)
# A spread below this part of the numbers themselves is their rounding in float32.
ROUNDING = 1e-6

Table = Mapping[str, Mapping[int, float]]
Numbers = Float[np.ndarray, "*batch"]


@dataclasses.dataclass(frozen=True)
class Compared:
    """One arm against the baseline by one metric of one sampling.

    Attributes:
        mean: of the arm over the seeds that both have, with its own 95% interval; `count` is the
            number of these seeds. NaN where a seed has no number.
        baseline: the baseline's mean over the same seeds.
        difference: the arm's mean minus the baseline's, with the simultaneous 95% interval.
        p_value: two-sided, unadjusted, or None.
        p_adjusted: adjusted for all arms of the family, or None.
        verdict: one of `VERDICTS`.
    """

    mean: Estimate
    baseline: Estimate
    difference: Estimate
    p_value: float | None
    p_adjusted: float | None
    verdict: str

    @property
    def seeds(self) -> int:
        """Number of training seeds that both arms have."""
        return self.difference.count or 0


def compare(
    values: Table,
    baseline: str,
    better: str,
    errors: Table | None = None,
    difference_errors: Table | None = None,
) -> dict[str, Compared]:
    """Holds every arm against the baseline by one metric of one sampling: one family.

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
    >>> found.verdict, round(found.difference.value, 3), round(found.p_adjusted, 5)
    ('better', -0.5, 0.00013)
    """
    one_of(better, ("lower", "higher"), "direction of a metric")
    base = values.get(baseline, {})
    others = {arm: row for arm, row in values.items() if arm != baseline}
    judged = {a: row for a, row in others.items() if row.keys() & base and _finite(row, base)}
    gaps: dict[str, Gap] = {}
    for seeds in dict.fromkeys(tuple(sorted(row.keys() & base)) for row in judged.values()):
        group = [arm for arm, row in judged.items() if row.keys() & base == set(seeds)]
        beside = [arm for arm, row in judged.items() if set(seeds) < row.keys() & base]
        table = [[row[s] for s in seeds] for row in (base, *(judged[a] for a in group + beside))]
        floors = [_sampling_error((difference_errors or {}).get(arm, {}), seeds) for arm in group]
        found = gaps_of(np.array(table, np.float64), floors, len(judged))
        gaps |= dict(zip(group, found, strict=True))
    return {
        arm: _compared(row, base, gaps[arm], better, (errors or {}).get(arm, {}))
        if arm in gaps
        else _without_number(row, base)
        for arm, row in others.items()
    }


@dataclasses.dataclass(frozen=True)
class Gap:
    """A difference from the baseline and how it is judged.

    Attributes:
        value: the difference.
        error: its standard error; 0 where nothing is known of the noise.
        by: the distribution of |value| / error where the arms do not differ.
        identical: whether every seed has exactly the baseline's value.
    """

    value: float
    error: float
    by: Student | Moderated
    identical: bool = False


def gaps_of(
    table: Float[np.ndarray, "arms seeds"], floors: Sequence[float], family: int
) -> list[Gap]:
    """Differences of arms from the first, in a table without missing values.

    Args:
        table: (k, n) values of the baseline, of the arms to judge, then of arms that only tell how
            much arms scatter.
        floors: for each arm to judge its difference's sampling error, 0 where it is not known.
        family: number of arms that are judged in all.
    """
    judged, seeds = len(floors), table.shape[1]
    gaps = (table[1:] - table[:1])[:judged]
    values = [float(value) for value in gaps.mean(1)]
    if seeds == 1:
        by = Student(math.inf, family)
        return [Gap(v, floor, by, v == 0) for v, floor in zip(values, floors, strict=True)]
    errors, by_arm = _errors(table, judged, family)
    return [
        Gap(value, max(errors[a], floor), by_arm[a], not gaps[a].any())
        for a, (value, floor) in enumerate(zip(values, floors, strict=True))
    ]


def _errors(
    table: Float[np.ndarray, "arms seeds"], judged: int, family: int
) -> tuple[list[float], list[Student | Moderated]]:
    """Each judged arm's standard error over seeds, and the distribution that belongs to it."""
    seeds = table.shape[1]
    errors = [_paired_error(table[0], row) for row in table[1 : judged + 1]]
    by: list[Student | Moderated] = [Student(seeds - 1, family)] * judged
    kept = _that_tell_of_scatter(table)
    if kept[:1] != [0]:  # the baseline's own scatter stands out
        return errors, by
    together = [row for row in kept if 1 <= row <= judged]
    if len(kept) < 3 or not together:
        return errors, by
    variances = difference_variance(scatter(table[kept]), seeds)
    by_group = reference(len(kept), len(together), seeds, family)
    for row, variance in zip(kept[1:], variances, strict=True):
        if row <= judged:
            errors[row - 1] = _above_rounding(math.sqrt(variance / seeds), table[kept])
            by[row - 1] = by_group
    return errors, by


def _that_tell_of_scatter(table: Float[np.ndarray, "arms seeds"]) -> list[int]:
    """Rows whose scatter is alike, as far as one can tell; the baseline's is the first."""
    _, first = np.unique(table, axis=0, return_index=True)  # the same numbers tell nothing new
    kept = sorted(int(row) for row in first)
    while (
        far := outlying(scatter(table[kept]), table.shape[1]) if len(kept) > 2 else None
    ) is not None:
        if far == 0:
            return kept[1:]
        kept.pop(far)
    return kept


def _paired_error(first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"]) -> float:
    """The standard error of a mean difference, from that pair alone."""
    error = float((second - first).std(ddof=1) / math.sqrt(len(first)))
    return _above_rounding(error, np.array([first, second]))


def _above_rounding(error: float, values: Float[np.ndarray, "..."]) -> float:
    """0 for an error so small that it is the rounding of the numbers themselves."""
    return error if error > ROUNDING * float(np.abs(values).max()) else 0.0


def _compared(
    arm: Mapping[int, float],
    base: Mapping[int, float],
    gap: Gap,
    better: str,
    errors: Mapping[int, float],
) -> Compared:
    seeds = sorted(arm.keys() & base)
    own, against = (np.array([row[seed] for seed in seeds], np.float64) for row in (arm, base))
    known = np.array([errors[s] for s in seeds]) if all(s in errors for s in seeds) else None
    mean, of_base = mean_over_seeds(own, known), Estimate(float(against.mean()), count=len(seeds))
    count = len(seeds)
    if gap.identical:
        return Compared(mean, of_base, Estimate(0.0, 0.0, 0.0, count), None, None, IDENTICAL)
    if gap.error == 0:
        verdict = ONE_SEED if count == 1 else OPEN
        return Compared(mean, of_base, Estimate(gap.value, count=count), None, None, verdict)
    t, reach = abs(gap.value) / gap.error, gap.by.critical * gap.error
    p_adjusted = gap.by.p_adjusted(t)
    difference = Estimate(gap.value, gap.value - reach, gap.value + reach, count, gap.error)
    if count == 1:
        verdict = ONE_SEED
    elif p_adjusted >= LEVEL:
        verdict = OPEN
    else:
        verdict = direction(gap.value, better)
    return Compared(mean, of_base, difference, gap.by.p_value(t), p_adjusted, verdict)


def direction(difference: float, better: str) -> str:
    """The verdict on a difference that stands out, where "lower" or "higher" is better."""
    return BETTER if (difference < 0) == (better == "lower") else WORSE


def _without_number(arm: Mapping[int, float], base: Mapping[int, float]) -> Compared:
    seeds = arm.keys() & base
    own, against = (
        Estimate(
            float(np.mean([row[seed] for seed in seeds])) if seeds and _finite(row) else math.nan,
            count=len(seeds),
        )
        for row in (arm, base)
    )
    return Compared(own, against, Estimate(math.nan, count=len(seeds)), None, None, NO_NUMBER)


def mean_over_seeds(
    values: Float[np.ndarray, "seeds"], errors: Float[np.ndarray, "seeds"] | None = None
) -> Estimate:
    """The mean of one arm over its seeds with its 95% interval.

    The standard error is the greater of std / sqrt(n) and, where sampling errors e_s are given,
    sqrt(sum e_s²) / n: seeds cannot scatter less than samples make them. With one seed only the
    latter is left. NaN if any value is not finite.

    Args:
        values: (n,) of the seeds.
        errors: (n,) standard errors over samples, or None.

    Source: Student 1908.

    >>> mean_over_seeds(np.array([1.0, 2.0, 3.0])).high
    4.48...
    """
    n = len(values)
    if not n or not np.isfinite(values).all():
        return Estimate(math.nan, count=n)
    mean, error, reach = (float(part) for part in means_over_seeds(values, errors))
    return Estimate.of(mean, mean - reach, mean + reach, n, error)


def means_over_seeds(
    values: Float[np.ndarray, "*batch seeds"],
    errors: Float[np.ndarray, "*batch seeds"] | None = None,
) -> tuple[Numbers, Numbers, Numbers]:
    """Many means at once, see `mean_over_seeds`.

    Returns:
        The means, their standard errors, and half the widths of their 95% intervals; both NaN
        where nothing is known of the noise.
    """
    n = values.shape[-1]
    mean = np.asarray(values.mean(-1))
    spread = values.std(-1, ddof=1) / math.sqrt(n) if n > 1 else np.zeros_like(mean)
    # The spread of equal numbers is their mean's rounding.
    spread = np.where(spread > 1e-12 * np.abs(mean), spread, 0.0)
    sampling = 0.0 if errors is None else np.sqrt(np.square(errors).sum(-1)) / n
    found = np.maximum(spread, sampling)
    error = np.where(found > 0, found, np.nan)
    critical = Student(n - 1 if n > 1 else math.inf, 1).critical
    return mean, error, np.asarray(critical * error)


def _sampling_error(errors: Mapping[int, float], seeds: Sequence[int]) -> float:
    """Of the mean over seeds; 0 unless that of each is known."""
    if not all(seed in errors for seed in seeds):
        return 0.0
    return math.sqrt(sum(errors[seed] ** 2 for seed in seeds)) / len(seeds)


def _finite(*rows: Mapping[int, float]) -> bool:
    return all(math.isfinite(value) for row in rows for value in row.values())
