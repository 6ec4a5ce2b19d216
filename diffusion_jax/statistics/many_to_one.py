"""Arms held against a baseline over training seeds: differences, intervals, verdicts.

Number, interval and verdict are one statement: an interval excludes zero exactly where
`p_adjusted` is below 0.05, which is where the verdict says "better" or "worse".
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from diffusion_jax.statistics import replicates
from diffusion_jax.statistics.estimate import Estimate

LEVEL = 0.05
BETTER, WORSE, OPEN = "better", "worse", "not separable"
IDENTICAL, ONE_SEED, NO_NUMBER = "identical", "one seed: sampling error only", "no number"
VERDICTS = (BETTER, WORSE, OPEN, IDENTICAL, ONE_SEED, NO_NUMBER)
METHOD = replicates.METHOD

Table = Mapping[str, Mapping[int, float]]


@dataclasses.dataclass(frozen=True)
class Compared:
    """One arm against the baseline by one metric, sampled in one way.

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
    >>> found.verdict, round(found.difference.value, 3), round(found.p_adjusted, 5)
    ('better', -0.5, 0.00013)
    """
    found = replicates.compare(values, baseline, better, errors, difference_errors)
    return {
        arm: Compared(
            Estimate(one.mean, one.low, one.high, one.seeds),
            Estimate(one.baseline_mean, count=one.seeds),
            Estimate(one.difference, one.diff_low, one.diff_high, one.seeds),
            one.p_value,
            one.p_adjusted,
            one.verdict,
        )
        for arm, one in found.items()
    }


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

    >>> mean_over_seeds(np.array([1.0, 2.0, 3.0])).high
    4.48...
    """
    if not np.isfinite(values).all():
        return Estimate(math.nan, count=len(values))
    found = replicates.mean_interval(values, errors)
    return Estimate.of(float(found.value), float(found.low), float(found.high), len(values))
