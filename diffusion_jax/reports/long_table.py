"""The long table: every number of every arm and seed, under a sampling that arms share."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from diffusion_jax.reports.rows import Comparison, Measurement, ReportedSampling
from diffusion_jax.statistics.estimate import Z95, Estimate, mean_of
from diffusion_jax.statistics.many_to_one import ONE_SEED
from diffusion_jax.statistics.paired import Difference
from diffusion_jax.sweeps.outcomes import Number, Outcome

EACH_OWN = "each arm's own"  # in the place of a solver that arms do not share

Spent = Mapping[tuple[str, int], float]


@dataclasses.dataclass(frozen=True)
class Found:
    """One arm with one training seed, and what came of it.

    Attributes:
        arm: its name.
        seed: of the training.
        outcome: None if it was not measured.
        solvers: specs of those that it was sampled with; arms are judged by the first.
        steps: their step counts; arms are judged with the most.
        data: spec of its data set; samples of different ones are not paired.
        failure: why it was not measured.
    """

    arm: str
    seed: int
    outcome: Outcome | None
    solvers: tuple[str, ...]
    steps: tuple[int, ...]
    data: str = ""
    failure: str = ""

    @property
    def judged_by(self) -> tuple[str, int]:
        """Solver and steps that it is judged by."""
        return self.solvers[0], max(self.steps)

    @property
    def diverged(self) -> bool:
        """Whether it did."""
        return self.outcome is not None and self.outcome.diverged is not None

    @property
    def whole(self) -> Outcome | None:
        """What was measured, unless it diverged."""
        return None if self.diverged else self.outcome


def long_table(
    found: Sequence[Found], baseline: str, nfe: Sequence[int] = ()
) -> tuple[tuple[Measurement, ...], tuple[Comparison, ...]]:
    """The rows, and where there is one training seed, tests of samples, not adjusted yet.

    Of an arm and seed that diverged there are the rows of others, without numbers. Where some
    samples of an arm are not finite it has no number, and no difference.

    Args:
        found: all arms and seeds.
        baseline: the arm that others are held against.
        nfe: evaluations at which arms are compared, whatever their solvers, if they are.
    """
    numbers = [(f, number) for f in found if f.whole for number in f.whole.numbers]
    spent = _mean_evaluations([number for _, number in numbers])
    base = {f.seed: f for f in found if f.arm == baseline}
    one_seed = len({f.seed for f in found}) == 1
    rows, tests = [], []
    for f, number in numbers:
        other, gap, error = _paired(f, number, base.get(f.seed))
        for sampling in _samplings(found, f, number, nfe, spent):
            where: dict[str, Any] = {"arm": f.arm, "sampling": sampling, "metric": number.metric}
            rows.append(Measurement(*number.parts, **where, seed=f.seed, difference_error=error))
            if one_seed and other and gap and f.arm != baseline:
                tests.append(
                    Comparison(
                        **where,
                        against=baseline,
                        mean=number,
                        baseline=other,
                        difference=Estimate.of(gap.value, gap.low, gap.high, number.count),
                        p_value=gap.p_value,
                        p_adjusted=None,
                        verdict=ONE_SEED,
                    )
                )
    common = dict.fromkeys((row.sampling, row.metric) for row in rows)
    rows += [
        Measurement(math.nan, count=0, arm=f.arm, seed=f.seed, sampling=sampling, metric=metric)
        for f in found
        if f.diverged
        for sampling, metric in common
        if sampling is None or sampling.solver == EACH_OWN or _alike(found)
    ]
    return tuple(rows), tuple(tests)


def judged_sampling(
    found: Sequence[Found], nfe: Sequence[int], rows: Sequence[Measurement]
) -> ReportedSampling | None:
    """The sampling that all arms are judged by; None if nothing was sampled."""
    if nfe:
        return ReportedSampling(EACH_OWN, 0, max(nfe))
    if not _alike(found):
        return ReportedSampling(EACH_OWN, 0, 0)
    taken = (row.sampling for row in rows if row.sampling)
    judged = found[0].judged_by
    return next((one for one in taken if (one.solver, one.steps) == judged), None)


def _samplings(
    found: Sequence[Found], f: Found, number: Number, nfe: Sequence[int], spent: Spent
) -> list[ReportedSampling | None]:
    """The samplings under which a number stands in the table."""
    if not number.solver:
        return [None]
    if nfe:
        taken = zip(nfe, f.steps, strict=True)
        return [ReportedSampling(EACH_OWN, 0, n) for n, own in taken if own == number.steps]
    setting = ReportedSampling(*number.sampling, round(spent[number.sampling]))
    if _alike(found) or number.sampling != f.judged_by:
        return [setting]
    return [setting, ReportedSampling(EACH_OWN, 0, 0)]


def _alike(found: Sequence[Found]) -> bool:
    """Whether all arms are sampled with the same solvers and steps."""
    return len({(f.solvers, f.steps) for f in found}) == 1


def _mean_evaluations(numbers: Sequence[Number]) -> Spent:
    """Of each sampling; adaptive solvers take another number for every arm."""
    taken: dict[tuple[str, int], list[float]] = {}
    for number in numbers:
        taken.setdefault(number.sampling, []).append(number.nfe)
    return {sampling: float(np.mean(each)) for sampling, each in taken.items()}


def _paired(
    f: Found, number: Number, base: Found | None
) -> tuple[Number | None, Difference | None, float | None]:
    """The baseline's number, the difference sample by sample, and its error, where known."""
    if base is None or base.whole is None or f.whole is None or base.data != f.data:
        return None, None, None
    other = base.whole.number(_as_sampled(f, number, base), number.metric)
    own, theirs = (each.by_example(number.metric) for each in (f.whole, base.whole))
    if own is not None and theirs is not None and len(own) == len(theirs):
        return other, None, mean_of(own - theirs).error
    if other is None or other.count != number.count or not (number.pairing and other.pairing):
        return other, None, None
    gap = number.pairing.minus(other.pairing)
    return other, gap, (gap.high - gap.low) / (2 * Z95)


def _as_sampled(f: Found, number: Number, base: Found) -> tuple[str, int]:
    """The baseline's sampling beside a number's: the same, or what stands in its place."""
    if not number.solver:
        return number.sampling
    place = min(f.steps.index(number.steps), len(base.steps) - 1)
    solver = number.solver if number.solver in base.solvers else base.solvers[0]
    return solver, base.steps[place]
