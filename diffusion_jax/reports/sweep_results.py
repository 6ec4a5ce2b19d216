"""From what a sweep has measured to what its page says."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from diffusion_jax.errors import UserError
from diffusion_jax.inference.measure import SamplingPlan
from diffusion_jax.metrics import metrics
from diffusion_jax.metrics.real import Real
from diffusion_jax.process.objective import Objective
from diffusion_jax.reports import study
from diffusion_jax.reports.content import LearningCurve, Report, ReportArm
from diffusion_jax.reports.long_table import Found
from diffusion_jax.reports.protocol import protocol, text, value_of
from diffusion_jax.reports.provenance import Provenance
from diffusion_jax.reports.shown import restored
from diffusion_jax.sweeps import outcomes
from diffusion_jax.sweeps.costs import Cost
from diffusion_jax.sweeps.plan import SweepPlan
from diffusion_jax.sweeps.sweep import fields_of
from diffusion_jax.sweeps.trials import Trial
from diffusion_jax.sweeps.work import WATCHED, Failure
from diffusion_jax.training.arms import objectives
from diffusion_jax.training.execution import chosen

MOST_NAMED = 6  # arms without a number


def report(plan: SweepPlan, failures: Sequence[Failure], provenance: Provenance) -> Report:
    """Reads what came of a sweep, compares the arms, and fills in the page.

    Raises:
        UserError: an outcome is damaged, or no arm has a number.
    """
    found = read(plan, failures)
    if not any(f.whole and f.whole.numbers for f in found):
        raise UserError(_nothing(plan, found))
    trials = {t.arm: (t, c) for t, c in reversed([*zip(plan.trials, plan.costs, strict=True)])}
    first = {arm: trials[arm] for arm in plan.sweep.arms}
    configs = [trial.config for trial in plan.trials]
    base = [trial.config for trial in plan.trials if trial.arm == plan.sweep.baseline]
    data = [*{id(each): each for each in plan.data.values()}.values()]
    most = max(max(c.sampling.count, c.sampling.judged_count) for c in configs)
    real = Real(data[0], most) if len(data) == 1 else None
    asked = [spec for config in configs for spec in config.sampling.metrics]
    fields = fields_of(plan.sweep.choices)
    differ = f"The arms differ in {' and '.join(fields)}. " if fields else ""
    made = study.report(
        found,
        title=plan.sweep.title,
        question=plan.sweep.question or f"{differ}Data: {', '.join(plan.data)}.",
        arms=[_arm(plan, trial, cost) for trial, cost in first.values()],
        objectives={name: _objective(trial) for name, (trial, _) in first.items()},
        baseline=plan.sweep.baseline,
        metrics={spec: metrics.make(spec) for spec in dict.fromkeys(asked)},
        judged_by=(plan.sweep.judged_by, *configs[0].sampling.metrics, "noise_error"),
        real=real,
        protocol=protocol([*base, *configs], data, plan.sweep.budget, plan.sweep.nfe),
        budget=plan.sweep.budget,
        nfe=plan.sweep.nfe,
        plan=(*plan.describe(), *_executions(plan), *(f"Failed: {f.reason}" for f in failures)),
        beside=_beside(plan, real) if real else {},
        curves=tuple(_curves(plan)),
        curve_label=f"error in the noise of {WATCHED} held-out examples",
    )
    return dataclasses.replace(made, provenance=provenance)


def read(plan: SweepPlan, failures: Sequence[Failure] = ()) -> tuple[Found, ...]:
    """What came of every trial.

    Raises:
        UserError: an outcome is damaged.
    """
    reasons = {failure.unit.folder: failure.reason for failure in failures}
    found = []
    for trial in plan.trials:
        folder, config = plan.unit_of(trial).folder, trial.config
        sampling = tuple(config.sampling.solvers), tuple(config.sampling.steps)
        outcome = outcomes.load(folder, trial.key)
        failure = reasons.get(folder, "")
        found.append(Found(trial.arm, trial.seed, outcome, *sampling, config.data, failure))
    return tuple(found)


def _beside(plan: SweepPlan, real: Real) -> dict[str, np.ndarray]:
    """What samples restore, where all arms restore the same."""
    plans = [SamplingPlan.make(trial.config, real.data.shape) for trial in plan.trials]
    asked = {(t.config.sampling.operator, t.config.sampling.posterior) for t in plan.trials}
    first = min(plans, key=lambda each: each.seed)
    return restored(first, real.data) if len(asked) == 1 else {}


def _nothing(plan: SweepPlan, found: Sequence[Found]) -> str:
    """What became of arms of which none has a number."""
    own = {name: [f for f in found if f.arm == name] for name in plan.sweep.arms}
    states = [f"{name} ({study.status(each)})" for name, each in own.items()]
    shown = "; ".join(states[:MOST_NAMED]) + ("; …" if len(states) > MOST_NAMED else "")
    return f"No arm of the sweep has a number, so there is no report: {shown}."


def _objective(trial: Trial) -> Objective:
    (objective,) = objectives(trial.config).values()
    return objective


def _arm(plan: SweepPlan, trial: Trial, cost: Cost) -> ReportArm:
    config, unit = trial.config, plan.unit_of(trial)
    inner = unit.keys[trial.training_key]
    together = any(inner in e.arms and e.at_once > 1 for e in chosen(unit.run_folder))
    return ReportArm(
        trial.arm,
        {field: text(value_of(config, field)) for field in fields_of(plan.sweep.choices)},
        parameters=cost.parameters,
        flops_per_step=cost.flops,
        seconds_per_step=cost.seconds,
        images=config.training.steps * config.training.batch_size,
        steps=config.training.steps,
        group=unit.folder.name,
        execution="together" if together else "one by one",
        guidance=str(config.sampling.guidance),
    )


def _executions(plan: SweepPlan) -> Iterator[str]:
    for unit in plan.units:
        for each in chosen(unit.run_folder):
            how = f"{each.at_once} at once" if each.at_once > 1 else "one by one"
            yield f"{unit.folder.name}: {', '.join(each.arms)} trained {how} ({each.why})"


def _curves(plan: SweepPlan) -> Iterator[LearningCurve]:
    for trial, cost in zip(plan.trials, plan.costs, strict=True):
        unit = plan.unit_of(trial)
        curve = outcomes.curve(unit.folder, unit.keys[trial.training_key])
        if len(curve.steps):
            yield LearningCurve(
                trial.arm,
                trial.seed,
                curve.steps,
                curve.steps * trial.config.training.batch_size,
                curve.steps * cost.flops,
                curve.steps * cost.seconds,
                curve.loss,
            )
