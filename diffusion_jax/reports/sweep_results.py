"""From what a sweep has measured to what its page says."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from diffusion_jax.data.example import caption_of
from diffusion_jax.errors import UserError
from diffusion_jax.inference.measure import SAMPLING
from diffusion_jax.metrics import Metric, metrics
from diffusion_jax.metrics.real import Real, captioned_pictures
from diffusion_jax.process.objective import Objective
from diffusion_jax.reports import content
from diffusion_jax.reports.comparisons import compare, criterion
from diffusion_jax.reports.content import (
    BinLoss,
    LearningCurve,
    Report,
    ReportArm,
)
from diffusion_jax.reports.curves import ScheduleCurve
from diffusion_jax.reports.formats import listed
from diffusion_jax.reports.metric_list import metric_list
from diffusion_jax.reports.sampled import real_pictures
from diffusion_jax.reports.scatter import as_pictures
from diffusion_jax.reports.schedule_curves import common_axis, schedule_curves
from diffusion_jax.reports.sweep_table import (
    Found,
    judged_sampling,
    measurements,
    read,
)
from diffusion_jax.sweeps import outcomes
from diffusion_jax.sweeps.plan import SweepPlan
from diffusion_jax.sweeps.sweep import fields_of
from diffusion_jax.sweeps.trials import Trial
from diffusion_jax.sweeps.unit import HELD_OUT_PICTURES, SEED, SHOWN, WATCHED
from diffusion_jax.sweeps.work import Failure
from diffusion_jax.training.arms import objectives
from diffusion_jax.training.execution import chosen

MOST_NAMED = 6  # arms without a number


def report(plan: SweepPlan, failures: Sequence[Failure], provenance: content.Provenance) -> Report:
    """Reads what came of a sweep, compares the arms, and fills in the page.

    Raises:
        UserError: an outcome is damaged, or no arm has a number.
    """
    found = read(plan)
    rows = measurements(plan, found)
    measured_by = metric_list(
        rows, _metrics(plan), f"their seed is the training seed + {SAMPLING:,}"
    )
    if not rows:
        raise UserError(_nothing(found, failures))
    objective_of = {f.trial.arm: _objective(f.trial) for f in reversed(found)}
    axis = common_axis(list(objective_of.values()))
    whole = [f for f in found if f.outcome and f.outcome.diverged is None]
    asked = [f for f in whole if f.outcome and len(f.outcome.bins)]
    return Report(
        title=plan.sweep.title,
        question=plan.sweep.question or _question(plan),
        arms=tuple(
            _arm(plan, found, failures, name, schedule_curves(objective_of[name], axis))
            for name in plan.sweep.arms
        ),
        baseline=plan.sweep.baseline,
        seeds=tuple(sorted({f.trial.seed for f in found})),
        budget=plan.sweep.budget,
        metrics=measured_by,
        judged_by=criterion(
            (plan.sweep.judged_by, *plan.trials[0].config.sampling.metrics),
            measured_by,
            rows,
            judged_sampling(plan, rows),
        ),
        measurements=rows,
        comparisons=compare(rows, measured_by, plan.sweep.baseline),
        protocol=_protocol(plan),
        plan=(*plan.describe(), *_executions(plan), *(f"Failed: {f.reason}" for f in failures)),
        provenance=provenance,
        log_snr_axis=axis,
        bin_edges=np.array(asked[0].outcome.edges if asked else (), float),  # type: ignore[union-attr]
        bin_losses=tuple(
            BinLoss(f.trial.arm, f.trial.seed, f.outcome.bins.mean(axis=0))  # type: ignore[union-attr]
            for f in asked
        ),
        curves=tuple(_curves(plan, found)),
        curve_label=f"error in the noise of {WATCHED} held-out pictures",
        samples=_samples(plan, whole),
        not_measured=_not_measured(plan),
        judged_sampling=judged_sampling(plan, rows),
        real=real_pictures(*plan.data.values()) if len(plan.data) == 1 else None,
    )


def _metrics(plan: SweepPlan) -> dict[str, Metric]:
    """The metrics of samples of all arms."""
    asked = dict.fromkeys(spec for trial in plan.trials for spec in trial.config.sampling.metrics)
    return {spec: metrics.make(spec) for spec in asked}


def _nothing(found: Sequence[Found], failures: Sequence[Failure]) -> str:
    """What became of arms of which none has a number."""
    arms: dict[str, list[Found]] = {}
    for f in found:
        arms.setdefault(f.trial.arm, []).append(f)
    states = [f"{name} ({_status(own, failures)})" for name, own in arms.items()]
    shown = "; ".join(states[:MOST_NAMED]) + ("; …" if len(states) > MOST_NAMED else "")
    return f"No arm of the sweep has a number, so there is no report: {shown}."


def _objective(trial: Trial) -> Objective:
    (objective,) = objectives(trial.config).values()
    return objective


def _question(plan: SweepPlan) -> str:
    fields = fields_of(plan.sweep.choices)
    differ = f"The arms differ in {' and '.join(fields)}. " if fields else ""
    return f"{differ}Data: {', '.join(plan.data)}."


def _arm(
    plan: SweepPlan,
    found: Sequence[Found],
    failures: Sequence[Failure],
    name: str,
    curves: ScheduleCurve,
) -> ReportArm:
    own = [f for f in found if f.trial.arm == name]
    first, config = own[0], own[0].trial.config
    unit = plan.unit_of(first.trial)
    inner = unit.keys[first.trial.training_key]
    together = any(inner in e.arms and e.at_once > 1 for e in chosen(unit.run_folder))
    return ReportArm(
        name,
        {field: _text(_value(config, field)) for field in fields_of(plan.sweep.choices)},
        _status(own, failures),
        first.cost.parameters,
        first.cost.flops,
        first.cost.seconds,
        config.training.steps * config.training.batch_size,
        config.training.steps,
        first.folder,
        "together" if together else "one by one",
        curves,
        str(config.sampling.guidance),
    )


def _value(config: ConfigDict, field: str) -> object:
    section, _, last = field.rpartition(".")
    return config[section][last] if section else config[last]


def _text(value: object) -> str:
    """
    >>> _text(("ddim", "heun"))
    'ddim, heun'
    """
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _status(own: Sequence[Found], failures: Sequence[Failure]) -> str:
    reasons = {failure.unit.folder.name: failure.reason for failure in failures}
    states: dict[int, str] = {}
    for f in own:
        if f.outcome is None:
            failed = f.folder in reasons
            states[f.trial.seed] = f"failed: {reasons[f.folder]}" if failed else "missing"
        elif f.outcome.diverged is not None:
            states[f.trial.seed] = f"diverged at step {f.outcome.diverged}"
        elif f.outcome.not_finite:
            states[f.trial.seed] = _not_finite(f.outcome.not_finite)
    if not states:
        return "done"
    if len(set(states.values())) == 1 and len(states) == len(own):
        return next(iter(states.values()))
    return "; ".join(f"seed {seed} {state}" for seed, state in states.items())


def _not_finite(lost: Mapping[str, int]) -> str:
    """
    >>> _not_finite({"ddim, 4": 3, "held-out pictures": 1})
    'not finite: 3 samples with ddim, 4 steps and 1 of held-out pictures'
    """
    states = [
        f"{count} of {what}" if what == HELD_OUT_PICTURES else f"{count} samples with {what} steps"
        for what, count in lost.items()
    ]
    return f"not finite: {listed(states)}"


def _protocol(plan: SweepPlan) -> dict[str, str]:
    trials = plan.trials
    config = trials[0].config

    def same(field: str) -> str:
        values = {_text(_value(trial.config, field)) for trial in trials}
        return values.pop() if len(values) == 1 else "of each arm its own"

    sampling = config.sampling
    how = "the most steps that the NFE allows" if plan.sweep.nfe else f"{same('sampling.steps')}"
    return {
        "Data": same("data"),
        "Network": f"{same('network')}, captions read by {same('conditioner')}",
        "Training": f"equal {plan.sweep.budget}: the baseline takes {config.training.steps:,} "
        f"steps of {config.training.batch_size} pictures; {same('optimizer')}; average of the "
        f"parameters {same('training.ema')}. Arms with one seed see the same pictures, noise and "
        "uniform times, and start from the same parameters where their networks are the same",
        "Sampling": f"solvers {same('sampling.solvers')}; steps {how}; grid "
        f"{same('sampling.grid')}, guidance {same('sampling.guidance')}; {sampling.count} samples, "
        f"{sampling.judged_count} where arms are judged; sample i of a seed has the same caption "
        "and starts from the same noise in every arm",
        **_restoration(plan),
        "Held-out pictures": f"picture, noise and levels of seed {SEED} are the same in every arm",
        "Samples shown": f"of training seed {min(trial.seed for trial in trials)}",
    }


def _not_measured(plan: SweepPlan) -> dict[str, str]:
    """Which metrics so few samples or pictures do not allow, and why."""
    reasons: dict[str, str | None] = {}
    for trial in plan.trials:
        options = trial.config.sampling
        real = Real(plan.data[trial.config.data], max(options.count, options.judged_count))
        for spec in options.metrics:
            if spec not in reasons:
                reasons[spec] = metrics.make(spec).needs(real.count, real)
    return {spec: reason for spec, reason in reasons.items() if reason}


def _restoration(plan: SweepPlan) -> dict[str, str]:
    asked = {(t.config.sampling.operator, t.config.sampling.posterior) for t in plan.trials}
    if asked == {("none", "none")}:
        return {}
    said = sorted(f"{posterior} given {operator}" for operator, posterior in asked)
    return {"Restoration": f"each sample restores a test picture of its own: {'; '.join(said)}"}


def _executions(plan: SweepPlan) -> Iterator[str]:
    for unit in plan.units:
        for each in chosen(unit.run_folder):
            how = f"{each.at_once} at once" if each.at_once > 1 else "one by one"
            yield f"{unit.folder.name}: {', '.join(each.arms)} trained {how} ({each.why})"


def _curves(plan: SweepPlan, found: Sequence[Found]) -> Iterator[LearningCurve]:
    for f in found:
        unit = plan.unit_of(f.trial)
        curve = outcomes.curve(unit.folder, unit.keys[f.trial.training_key])
        if len(curve.steps):
            yield LearningCurve(
                f.trial.arm,
                f.trial.seed,
                curve.steps,
                curve.steps * f.trial.config.training.batch_size,
                curve.steps * f.cost.flops,
                curve.steps * f.cost.seconds,
                curve.loss,
            )


def _samples(plan: SweepPlan, whole: Sequence[Found]) -> content.Samples | None:
    """Of the first seed; None if the arms are of different data."""
    seed = min(trial.seed for trial in plan.trials)
    shown = [f for f in whole if f.trial.seed == seed and f.outcome and len(f.outcome.pictures)]
    if len(plan.data) > 1 or not shown:
        return None
    (data,) = plan.data.values()
    first = shown[0].trial.config.sampling
    count = min(SHOWN, *(len(f.outcome.pictures) for f in shown))  # type: ignore[union-attr]
    captions = tuple(caption_of(example) for example in captioned_pictures(data, count))
    sampling = judged_sampling(plan, measurements(plan, shown))
    setting = sampling or content.ReportedSampling(first.solvers[0], max(first.steps), 0)
    if not data.has_pictures:
        drawn = {f.trial.arm: f.outcome.pictures for f in shown}  # type: ignore[union-attr]
        captions = (f"all {min(map(len, drawn.values())):,} samples",)
        plots = {arm: as_pictures(vectors) for arm, vectors in drawn.items()}
        return content.Samples(setting, captions, plots)
    return content.Samples(
        setting,
        captions,
        {f.trial.arm: f.outcome.pictures[:count] for f in shown},  # type: ignore[union-attr]
        {
            f.trial.arm: {
                name.removeprefix("shown, "): ok[:count]
                for name, ok in f.outcome.right.items()  # type: ignore[union-attr]
                if name.startswith("shown, ") and name != "shown, all"
            }
            for f in shown
        },
    )
