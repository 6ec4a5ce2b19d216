"""Does one unit of a sweep: trains its arms, and measures what is to be measured of them."""

import dataclasses
from collections.abc import Hashable, Mapping

import numpy as np

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.inference.measure import Drawn, SamplingPlan, measure
from diffusion_jax.inference.numbers import RIGHT, numbers_of
from diffusion_jax.metrics import Metric
from diffusion_jax.metrics.heldout import denoises, held_out
from diffusion_jax.metrics.real import Real
from diffusion_jax.parallel.devices import is_primary
from diffusion_jax.runs.journal import Diverged
from diffusion_jax.runs.progress import Progress
from diffusion_jax.statistics.estimate import mean_of
from diffusion_jax.sweeps.outcomes import (
    Number,
    Outcome,
    add_to_curve,
    is_measured,
    sampling_key,
    store,
)
from diffusion_jax.sweeps.plan import SweepPlan, Unit
from diffusion_jax.training.loop import Watch, train
from diffusion_jax.training.trained import TrainedArm, load_arms, load_guides

HELD_OUT = 512  # pictures
WATCHED = 64  # of them during training
SEED = 0  # of held-out noise and levels
SHOWN = 12  # samples that are kept as pictures
HELD_OUT_PICTURES = "held-out pictures"


def is_done(plan: SweepPlan, unit: Unit) -> bool:
    """Whether all trials of a unit are measured."""
    return all(is_measured(unit.folder, trial.key) for trial in plan.trials_of(unit))


def do(plan: SweepPlan, unit: Unit, progress: Progress, reals: dict[Hashable, Real]) -> None:
    """Trains and measures, from where the folder says it is.

    Args:
        plan: the sweep.
        unit: one of its units.
        progress: where to show it.
        reals: pictures that samples are held against, kept from unit to unit.

    Raises:
        UserError: training or measuring cannot go on.
        Stopped: SIGTERM or SIGINT came; the state has been saved.
    """
    data = plan.data[unit.config.data]
    left = [trial for trial in plan.trials_of(unit) if not is_measured(unit.folder, trial.key)]
    try:
        run = train(unit.config, progress, _watch(unit, data), data)
    except Diverged as error:  # all arms, so that there is nothing to measure
        for trial in left if is_primary() else ():
            at = error.steps[unit.keys[trial.training_key]]
            store(Outcome(at), unit.folder, trial.key)
        return
    if not is_primary():
        return
    arms = load_arms(run.folder)
    for trial in left:
        drawing = SamplingPlan.make(trial.config, run.facts.shape)
        real = reals.setdefault(
            (unit.config.data, drawing.judged_count), Real(data, drawing.judged_count)
        )
        arm = arms[unit.keys[trial.training_key]]
        store(_measure(unit, arm, drawing, real, progress), unit.folder, trial.key)


def _watch(unit: Unit, data: Dataset) -> Watch:
    count = min(WATCHED, len(data.test))

    def watch(step: int, arms: Mapping[str, TrainedArm]) -> None:
        losses = {
            name: float(held_out(arm, data, count, SEED).mean.mean())
            for name, arm in arms.items()
            if arm.diverged is None and denoises(arm.objective)
        }
        add_to_curve(unit.folder, step, losses)

    return watch


def _measure(
    unit: Unit, arm: TrainedArm, drawing: SamplingPlan, real: Real, progress: Progress
) -> Outcome:
    if arm.diverged is not None:
        return Outcome(arm.diverged)
    data = real.data
    asked = _held_out(arm, data, drawing.batch_size)
    numbers, right, pictures = list(asked.numbers), {}, None
    lost = dict(asked.not_finite)
    arms = {arm.arm.name: arm}  # as the run calls it, where its guides are sought
    guides = load_guides(unit.run_folder, arms, drawing.guidance.guided_by)
    for cell in measure(drawing, arms, data, progress, guides):
        numbers += of_samples(drawing.metrics_of(cell.sampling), cell, real)
        if cell.right:
            right[sampling_key(cell.sampling.solver, cell.sampling.steps)] = cell.right["all"]
        if cell.lost:
            lost[sampling_key(cell.sampling.solver, cell.sampling.steps)] = cell.lost
        if cell.sampling == drawing.judged_by:
            most = SHOWN if data.has_pictures else len(cell.pictures)
            pictures = cell.pictures[: 0 if cell.lost else most]
            right |= {f"shown, {name}": each[:SHOWN] for name, each in cell.right.items()}
    assert pictures is not None, "arms are judged by one of the samplings"
    return dataclasses.replace(
        asked, numbers=tuple(numbers), right=right, pictures=pictures, not_finite=lost
    )


def _held_out(arm: TrainedArm, data: Dataset, batch_size: int) -> Outcome:
    """What the arm makes of held-out pictures; nothing for those that estimate no noise."""
    if not denoises(arm.objective):
        return Outcome(None)
    found = held_out(arm, data, min(HELD_OUT, len(data.test)), SEED, batch_size)
    bins = found.per_picture.astype(np.float64)
    numbers = [Number.of("", 0, 0.0, name, mean_of(v)) for name, v in found.by_picture.items()]
    lost = {HELD_OUT_PICTURES: found.lost} if found.lost else {}
    return Outcome(None, tuple(numbers), found.bins.edges, bins, found.bits, not_finite=lost)


def of_samples(metrics: Mapping[str, Metric], cell: Drawn, real: Real) -> list[Number]:
    """What samples of one solver and step count are like, by each metric that so many allow."""
    sampling = (cell.sampling.solver, cell.sampling.steps, cell.evaluations)
    found, _ = numbers_of(metrics, cell, real)
    # Of an attribute, the arrays say of each sample whether it is right.
    return [Number.of(*sampling, n, one) for n, one in found.items() if not n.startswith(RIGHT)]
