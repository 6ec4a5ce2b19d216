"""From what was measured of arms and seeds to what the page says: of comparisons and of sweeps."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Shaped

from diffusion_jax.metrics import Metric, floor
from diffusion_jax.metrics.real import Real
from diffusion_jax.process.objective import Objective
from diffusion_jax.reports import content
from diffusion_jax.reports.comparisons import adjusted, compare, criterion
from diffusion_jax.reports.content import BinLoss, LearningCurve, Report, ReportArm
from diffusion_jax.reports.long_table import Found, judged_sampling, long_table
from diffusion_jax.reports.metric_list import metric_list
from diffusion_jax.reports.scatter import window
from diffusion_jax.reports.schedule_curves import common_axis, schedule_curves
from diffusion_jax.reports.shown import drawn_film, real_examples, samples
from diffusion_jax.reports.status import status


@dataclasses.dataclass(frozen=True)
class Study:
    """What was run and found, before it is put into words.

    Attributes:
        title: of the page.
        question: what differs, on which data.
        arms: what is known of each before it is measured.
        objectives: arm -> objective; those that diverged may be left out.
        found: every arm with every seed, and what came of it.
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

    title: str
    question: str
    arms: tuple[ReportArm, ...]
    objectives: Mapping[str, Objective]
    found: tuple[Found, ...]
    baseline: str
    metrics: Mapping[str, Metric]
    judged_by: tuple[str, ...]
    real: Real | None
    protocol: Mapping[str, str]
    budget: str = "steps"
    nfe: tuple[int, ...] = ()
    plan: tuple[str, ...] = ()
    beside: Mapping[str, Shaped[np.ndarray, "shown ..."]] = dataclasses.field(default_factory=dict)
    curves: tuple[LearningCurve, ...] = ()
    curve_label: str = "held-out loss"


def report(study: Study, provenance: content.Provenance) -> Report:
    """Compares the arms of a study and fills in the page."""
    base, instead = baseline(study)
    rows, tests = long_table(study.found, base, study.nfe)
    made = {row.metric: m for row in rows if (m := study.metrics.get(row.metric))}
    floors = floor(study.real, made) if study.real else {}
    metrics = metric_list(rows, made, floors)
    sampling = judged_sampling(study.found, study.nfe, rows)
    axis = common_axis([*study.objectives.values()])
    seed = min(f.seed for f in study.found)
    first = [f for f in study.found if f.seed == seed]
    reach = window(study.real.data) if study.real else 1.0
    edges, bin_losses = _bin_losses(study.found)
    return Report(
        title=study.title,
        question=study.question,
        arms=tuple(_arm(study, arm, axis, first, reach) for arm in study.arms),
        baseline=base,
        seeds=tuple(sorted({f.seed for f in study.found})),
        budget=study.budget,
        metrics=metrics,
        judged_by=criterion(study.judged_by, metrics, rows, sampling),
        measurements=rows,
        comparisons=compare(rows, metrics, base),
        protocol=study.protocol,
        plan=study.plan,
        provenance=provenance,
        log_snr_axis=axis,
        bin_edges=edges,
        bin_losses=bin_losses,
        curves=study.curves,
        curve_label=study.curve_label,
        samples=samples(first, study.real.data, sampling, study.beside) if study.real else None,
        real=real_examples(study.real.data) if study.real else None,
        tests=adjusted(tests, metrics),
        warnings=(instead,) if instead else (),
        not_measured=_not_measured(study, made),
        judged_sampling=sampling,
    )


def baseline(study: Study) -> tuple[str, str]:
    """The arm that others are held against, and a sentence if it is not the one that was wanted.

    The one that is wanted, else the first; where that one diverged with every seed, the next that
    did not.
    """
    lost = {arm.name for arm in study.arms if _diverged(study.found, arm.name)}
    wanted = study.baseline or study.arms[0].name
    left = [arm.name for arm in study.arms if arm.name not in lost]
    if wanted not in lost or not left:
        return wanted, ""
    return left[0], f"The baseline is {left[0]} in the place of {wanted}, which diverged."


def _diverged(found: Sequence[Found], arm: str) -> bool:
    own = [f.outcome for f in found if f.arm == arm]
    return all(outcome is not None and outcome.diverged is not None for outcome in own)


def _arm(
    study: Study, arm: ReportArm, axis: np.ndarray, first: Sequence[Found], reach: float
) -> ReportArm:
    objective = study.objectives.get(arm.name)
    films = (f.whole.trajectory for f in first if f.arm == arm.name and f.whole)
    film = next(films, None)
    return dataclasses.replace(
        arm,
        status=status([f for f in study.found if f.arm == arm.name]),
        schedule=schedule_curves(objective, axis) if objective else None,
        trajectory=drawn_film(film, reach) if film else None,
    )


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


def _not_measured(study: Study, made: Mapping[str, Metric]) -> dict[str, str]:
    """Why a metric, or some of it, is missing: once, if it is the same of all arms."""
    reasons: dict[str, dict[str, str]] = {}
    whole = {f.arm: f.whole for f in study.found if f.whole}
    for arm, outcome in whole.items():
        for spec, reason in outcome.not_measured.items():
            reasons.setdefault(spec, {})[arm] = reason
    # Outcomes of earlier versions do not say it.
    for spec, metric in study.metrics.items():
        if spec not in made and spec not in reasons and study.real:
            why = metric.needs(study.real.count, study.real)
            reasons |= {spec: dict.fromkeys(whole, why)} if why else {}
    return {
        spec: "; ".join(f"of arm {arm}: {reason}" for arm, reason in each.items())
        if len(each) < len(whole) or len(set(each.values())) > 1
        else next(iter(each.values()))
        for spec, each in reasons.items()
    }
