"""The long table of a sweep: every number of every trial, under a sampling that arms share."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Shaped

from diffusion_jax.metrics.heldout import BITS_PER_DIM, NOISE_ERROR
from diffusion_jax.registry import parse
from diffusion_jax.reports.content import Measurement, ReportedSampling
from diffusion_jax.statistics.estimate import mean_of
from diffusion_jax.sweeps import outcomes
from diffusion_jax.sweeps.costs import Cost
from diffusion_jax.sweeps.outcomes import Number, Outcome, sampling_key
from diffusion_jax.sweeps.plan import SweepPlan
from diffusion_jax.sweeps.trials import Trial

EACH_OWN = "each arm's own"  # in the place of a solver that arms do not share

Spent = Mapping[tuple[str, int], float]


@dataclasses.dataclass(frozen=True)
class Found:
    """A trial beside what came of it.

    Attributes:
        trial: arm and seed.
        cost: of a training step.
        outcome: None if it was not measured.
        folder: name of the unit that trained it.
    """

    trial: Trial
    cost: Cost
    outcome: Outcome | None
    folder: str


def read(plan: SweepPlan) -> tuple[Found, ...]:
    """Reads what came of every trial.

    Raises:
        UserError: an outcome is damaged.
    """
    found = []
    for trial, cost in zip(plan.trials, plan.costs, strict=True):
        folder = plan.unit_of(trial).folder
        found.append(Found(trial, cost, outcomes.load(folder, trial.key), folder.name))
    return tuple(found)


def measurements(plan: SweepPlan, found: Sequence[Found]) -> tuple[Measurement, ...]:
    """The long table. Of a trial that diverged it has the rows of others, without numbers."""
    numbers = [(f, number) for f in found if f.outcome for number in f.outcome.numbers]
    spent = _mean_evaluations([number for _, number in numbers])
    base = {f.trial.seed: f for f in found if f.trial.arm == plan.sweep.baseline}
    rows = [
        _row(f, number, sampling, base.get(f.trial.seed))
        for f, number in numbers
        for sampling in samplings(plan, f.trial, number.solver, number.steps, spent)
    ]
    common = dict.fromkeys((row.sampling, row.metric) for row in rows)
    for f in found:
        if f.outcome and f.outcome.diverged is not None:
            rows += [
                Measurement(f.trial.arm, f.trial.seed, sampling, metric, math.nan, 0)
                for sampling, metric in common
                if sampling is None or sampling.solver == EACH_OWN or _alike(plan)
            ]
    return tuple(rows)


def judged_by(trial: Trial) -> tuple[str, int]:
    """Solver and steps that a trial is judged by."""
    options = trial.config.sampling
    return options.solvers[0], max(options.steps)


def judged_sampling(plan: SweepPlan, rows: Sequence[Measurement]) -> ReportedSampling | None:
    """The sampling that all arms are judged by; None if nothing was sampled."""
    if plan.sweep.nfe:
        return ReportedSampling(EACH_OWN, 0, max(plan.sweep.nfe))
    if not _alike(plan):
        return ReportedSampling(EACH_OWN, 0, 0)
    solver, steps = judged_by(plan.trials[0])
    taken = (row.sampling for row in rows if row.sampling)
    return next(
        (sampling for sampling in taken if (sampling.solver, sampling.steps) == (solver, steps)),
        None,
    )


def samplings(
    plan: SweepPlan, trial: Trial, solver: str, steps: int, spent: Spent
) -> list[ReportedSampling | None]:
    """The samplings under which a number of a trial stands in the table."""
    if not solver:
        return [None]
    if plan.sweep.nfe:
        taken = zip(plan.sweep.nfe, trial.config.sampling.steps, strict=True)
        return [ReportedSampling(EACH_OWN, 0, nfe) for nfe, own in taken if own == steps]
    setting = ReportedSampling(solver, steps, round(spent[solver, steps]))
    if _alike(plan) or (solver, steps) != judged_by(trial):
        return [setting]
    return [setting, ReportedSampling(EACH_OWN, 0, 0)]


def _alike(plan: SweepPlan) -> bool:
    """Whether all arms are sampled with the same solvers and steps."""
    options = [trial.config.sampling for trial in plan.trials]
    return len({(each.solvers, each.steps) for each in options}) == 1


def _mean_evaluations(numbers: Sequence[Number]) -> Spent:
    """Of each sampling; adaptive solvers take another number for every arm."""
    taken: dict[tuple[str, int], list[float]] = {}
    for number in numbers:
        taken.setdefault((number.solver, number.steps), []).append(number.nfe)
    return {sampling: float(np.mean(each)) for sampling, each in taken.items()}


def _row(
    f: Found, number: Number, sampling: ReportedSampling | None, base: Found | None
) -> Measurement:
    gap = _paired_error(f, base, number) if base else None
    return Measurement.of(f.trial.arm, f.trial.seed, sampling, number.metric, number.estimate, gap)


def _paired_error(f: Found, base: Found, number: Number) -> float | None:
    """Standard error of the difference from the baseline, sample by sample; None if unknown."""
    pair = [_by_sample(each, number, f) for each in (f, base)]
    lengths = {0 if each is None else len(each) for each in pair}
    if len(lengths) > 1 or max(lengths) < 2:
        return None
    own, of_base = (np.asarray(each, np.float64) for each in pair)
    return mean_of(own - of_base).error


def _by_sample(each: Found, number: Number, asked: Found) -> Shaped[np.ndarray, "n"] | None:
    """What a number is the mean of; of the baseline as it is sampled, if arms do not share that."""
    outcome = each.outcome
    if outcome is None or outcome.diverged is not None:
        return None
    if number.metric == NOISE_ERROR:
        return np.asarray(outcome.bins.mean(axis=1))
    if number.metric == BITS_PER_DIM:
        return outcome.bits
    if parse(number.metric).name != "exact_match":
        return None
    place = asked.trial.config.sampling.steps.index(number.steps)
    own = each.trial.config.sampling
    steps = own.steps[min(place, len(own.steps) - 1)]
    solver = number.solver if number.solver in own.solvers else own.solvers[0]
    return outcome.right.get(sampling_key(solver, steps))
