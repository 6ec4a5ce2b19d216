"""Does one unit of a sweep: trains its arms, and measures what is to be measured of them."""

import dataclasses
from collections.abc import Hashable, Mapping

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.inference.measure import SamplingPlan, measure
from diffusion_jax.metrics.heldout import denoises, held_out
from diffusion_jax.metrics.real import Real
from diffusion_jax.parallel.devices import is_primary
from diffusion_jax.runs.journal import Diverged
from diffusion_jax.runs.progress import Progress
from diffusion_jax.sweeps.measured import of_held_out, outcome
from diffusion_jax.sweeps.outcomes import Outcome, add_to_curve, is_measured, store
from diffusion_jax.sweeps.plan import SweepPlan, Unit
from diffusion_jax.training.loop import Watch, train
from diffusion_jax.training.trained import TrainedArm, load_arms, load_guides

HELD_OUT = 512  # examples
WATCHED = 64  # of them during training
SEED = 0  # of held-out noise and levels
FILM_BYTES = 500_000  # of the film of each trial


def is_done(plan: SweepPlan, unit: Unit) -> bool:
    """Whether all trials of a unit are measured."""
    return all(is_measured(unit.folder, trial.key) for trial in plan.trials_of(unit))


def do(plan: SweepPlan, unit: Unit, progress: Progress, reals: dict[Hashable, Real]) -> None:
    """Trains and measures, from where the folder says it is.

    Args:
        plan: the sweep.
        unit: one of its units.
        progress: where to show it.
        reals: what samples are held against, kept from unit to unit.

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
    asked = of_held_out(arm, real, HELD_OUT, SEED, drawing.batch_size)
    arms = {arm.arm.name: arm}  # as the run calls it, where its guides are sought
    guides = load_guides(unit.run_folder, arms, drawing.guidance.guided_by)
    found = outcome(drawing, measure(drawing, arms, real.data, progress, guides), asked, real)
    film = found.trajectory and found.trajectory.thinned(FILM_BYTES)
    return dataclasses.replace(found, trajectory=film)
