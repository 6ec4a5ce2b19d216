"""From what was measured of arms and seeds to what the page says: of comparisons and of sweeps."""

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from jaxtyping import Shaped

from diffusion_jax.metrics import Metric, floor
from diffusion_jax.metrics.real import Real
from diffusion_jax.process.objective import Objective
from diffusion_jax.reports.comparisons import adjusted, compare, criterion
from diffusion_jax.reports.content import DONE, BinLoss, LearningCurve, Report, ReportArm
from diffusion_jax.reports.formats import listed
from diffusion_jax.reports.long_table import Found, judged_sampling, long_table
from diffusion_jax.reports.metric_list import metric_list
from diffusion_jax.reports.scatter import window
from diffusion_jax.reports.schedule_curves import common_axis, schedule_curves
from diffusion_jax.reports.shown import drawn_film, real_examples, samples
from diffusion_jax.sweeps.measured import HELD_OUT_PICTURES


def report(
    found: Sequence[Found],
    *,
    title: str,
    question: str,
    arms: Sequence[ReportArm],
    objectives: Mapping[str, Objective],
    baseline: str,
    metrics: Mapping[str, Metric],
    judged_by: Sequence[str],
    real: Real | None,
    protocol: Mapping[str, str],
    budget: str = "steps",
    nfe: tuple[int, ...] = (),
    plan: tuple[str, ...] = (),
    beside: Mapping[str, Shaped[np.ndarray, "shown ..."]] = MappingProxyType({}),
    curves: tuple[LearningCurve, ...] = (),
    curve_label: str = "held-out loss",
) -> Report:
    """Compares arms, and fills in all of the page but its provenance.

    Args:
        found: every arm with every seed, and what came of it.
        title: of the page.
        question: what differs, on which data.
        arms: what is known of each before it is measured.
        objectives: arm -> objective; those that diverged may be left out.
        baseline: the arm that others are held against; "" for the first.
        metrics: spec -> metric, of samples.
        judged_by: the metrics that may judge, the most wanted first.
        real: what samples are held against; None where arms are of different data.
        protocol: what -> how.
        budget: what is equal for all arms.
        nfe: evaluations at which arms are compared, whatever their solvers, if they are.
        plan: lines on what ran where.
        beside: what -> pictures to be shown beside the samples.
        curves: held-out loss during training.
        curve_label: what that loss is.
    """
    base, instead = chosen_baseline(found, [arm.name for arm in arms], baseline)
    rows, tests = long_table(found, base, nfe)
    made = {row.metric: m for row in rows if (m := metrics.get(row.metric))}
    measured = metric_list(rows, made, floor(real, made) if real else {})
    sampling = judged_sampling(found, nfe, rows)
    axis = common_axis([*objectives.values()])
    seed = min(f.seed for f in found)
    first = [f for f in found if f.seed == seed]
    reach = window(real.data) if real else 1.0
    edges, bin_losses = _bin_losses(found)

    def filled(arm: ReportArm) -> ReportArm:
        objective = objectives.get(arm.name)
        films = (f.whole.trajectory for f in first if f.arm == arm.name and f.whole)
        film = next(films, None)
        return dataclasses.replace(
            arm,
            status=status([f for f in found if f.arm == arm.name]),
            schedule=schedule_curves(objective, axis) if objective else None,
            trajectory=drawn_film(film, reach) if film else None,
        )

    return Report(
        title=title,
        question=question,
        arms=tuple(map(filled, arms)),
        baseline=base,
        seeds=tuple(sorted({f.seed for f in found})),
        budget=budget,
        metrics=measured,
        judged_by=criterion(judged_by, measured, rows, sampling),
        measurements=rows,
        comparisons=compare(rows, measured, base),
        protocol=protocol,
        plan=plan,
        log_snr_axis=axis,
        bin_edges=edges,
        bin_losses=bin_losses,
        curves=curves,
        curve_label=curve_label,
        samples=samples(first, real.data, sampling, beside) if real else None,
        real=real_examples(real.data) if real else None,
        tests=adjusted(tests, measured),
        warnings=(instead,) if instead else (),
        not_measured=_not_measured(found, metrics, made, real),
        judged_sampling=sampling,
    )


def chosen_baseline(found: Sequence[Found], arms: Sequence[str], wanted: str) -> tuple[str, str]:
    """The arm that others are held against, and a sentence if it is not the one that was wanted.

    The one that is wanted, else the first; where that one diverged with every seed, the next that
    did not.
    """
    left = [arm for arm in arms if not all(f.diverged for f in found if f.arm == arm)]
    wanted = wanted or arms[0]
    if wanted in left or not left:
        return wanted, ""
    return left[0], f"The baseline is {left[0]} in the place of {wanted}, which diverged."


def status(own: Sequence[Found]) -> str:
    """What became of one arm with all its seeds: done, or where it has no number, and why."""
    states = {f.seed: state for f in own if (state := _of_one(f)) != DONE}
    if len(set(states.values())) <= 1 and len(states) in (0, len(own)):
        return next(iter(states.values()), DONE)
    return "; ".join(f"seed {seed} {state}" for seed, state in states.items())


def _of_one(f: Found) -> str:
    if f.outcome is None:
        return f"failed: {f.failure}" if f.failure else "missing"
    if f.outcome.diverged is not None:
        return f"diverged at step {f.outcome.diverged:,}"
    return _not_finite(f.outcome.not_finite) if f.outcome.not_finite else DONE


def _not_finite(lost: Mapping[str, int]) -> str:
    """
    >>> _not_finite({"ddim, 4": 3, "held-out pictures": 1})
    'not finite: 3 samples with ddim, 4 steps and 1 held-out example'
    """
    states = []
    for where, count in lost.items():
        many = "s" * (count > 1)
        held_out = where == HELD_OUT_PICTURES
        what = f"held-out example{many}" if held_out else f"sample{many} with {where} steps"
        states.append(f"{count} {what}")
    return f"not finite: {listed(states)}"


def _bin_losses(found: Sequence[Found]) -> tuple[np.ndarray, tuple[BinLoss, ...]]:
    """The bins that all share, and the error of each arm and seed in them."""
    asked = [(f, f.whole) for f in found if f.whole and f.whole.bins.size]
    losses = []
    for f, outcome in asked:
        bins, count = outcome.bins, len(outcome.bins)
        if np.isfinite(bins).all():
            error = bins.std(axis=0, ddof=1) / np.sqrt(count) if count > 1 else None
            losses.append(BinLoss(f.arm, f.seed, bins.mean(axis=0), error))
    return np.array(asked[0][1].edges if asked else (), float), tuple(losses)


def _not_measured(
    found: Sequence[Found],
    asked: Mapping[str, Metric],
    made: Mapping[str, Metric],
    real: Real | None,
) -> dict[str, str]:
    """Why a metric, or some of it, is missing: once, if it is the same of all arms."""
    reasons: dict[str, dict[str, str]] = {}
    whole = {f.arm: f.whole for f in found if f.whole}
    for arm, outcome in whole.items():
        for spec, reason in outcome.not_measured.items():
            reasons.setdefault(spec, {})[arm] = reason
    # Outcomes of earlier versions do not say it.
    for spec, metric in asked.items():
        if spec not in made and spec not in reasons and real:
            why = metric.needs(real.count, real)
            reasons |= {spec: dict.fromkeys(whole, why)} if why else {}
    return {
        spec: "; ".join(f"of arm {arm}: {reason}" for arm, reason in each.items())
        if len(each) < len(whole) or len(set(each.values())) > 1
        else next(iter(each.values()))
        for spec, each in reasons.items()
    }
