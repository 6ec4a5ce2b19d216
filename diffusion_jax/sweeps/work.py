"""Does the units of a sweep: one process, or several at once, that never do the same unit twice.

To do a unit is to train its arms, and to measure what is to be measured of them.
"""

import contextlib
import dataclasses
import time
from collections.abc import Hashable, Iterator, Mapping

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.errors import UserError
from diffusion_jax.inference.measure import SamplingPlan
from diffusion_jax.metrics.heldout import denoises, held_out
from diffusion_jax.metrics.real import Real
from diffusion_jax.parallel import devices
from diffusion_jax.runs.journal import Diverged
from diffusion_jax.runs.lock import Locked, locked
from diffusion_jax.runs.progress import Progress
from diffusion_jax.sweeps.measured import SWEPT, outcomes
from diffusion_jax.sweeps.outcomes import Outcome, add_to_curve, is_measured, store
from diffusion_jax.sweeps.plan import SweepPlan, Unit
from diffusion_jax.training.loop import Watch, train
from diffusion_jax.training.trained import TrainedArm, load_arms, load_guides

PAUSE = 2.0  # seconds between looks at what other processes do
WATCHED = 64  # held-out examples during training
SEED = 0  # of held-out noise and levels
FILM_BYTES = 500_000  # of the film of each trial


@dataclasses.dataclass(frozen=True)
class Failure:
    """A unit that could not be done here.

    Attributes:
        unit: which.
        reason: one line.
    """

    unit: Unit
    reason: str


def work(plan: SweepPlan, progress: Progress) -> tuple[Failure, ...]:
    """Does all units that are not done, and waits for those that other processes do.

    A unit that fails is reported in the end and does not stop the others; the same command tries it
    again.

    Args:
        plan: the sweep.
        progress: where to show it.

    Returns:
        The units that failed.

    Raises:
        Stopped: SIGTERM or SIGINT came; the same command goes on from there.
    """
    failures: dict[str, Failure] = {}
    reals: dict[Hashable, Real] = {}
    while True:
        left = [u for u in plan.units if u.folder.name not in failures and not _done(plan, u)]
        if not left:
            return tuple(failures.values())
        tried = False
        for unit in left:
            place = f"Group {plan.units.index(unit) + 1} of {len(plan.units)}: "
            with _claimed(unit) as ours:
                if ours:
                    tried = True
                    try:
                        _do(plan, unit, progress.within(place), reals)
                    except UserError as error:
                        failures[unit.folder.name] = Failure(unit, " ".join(str(error).split()))
        if not tried:
            time.sleep(PAUSE)


def _done(plan: SweepPlan, unit: Unit) -> bool:
    """Whether all trials of a unit are measured, as the first process sees it."""
    done = all(is_measured(unit.folder, trial.key) for trial in plan.trials_of(unit))
    return bool(devices.from_primary(done)[0])


@contextlib.contextmanager
def _claimed(unit: Unit) -> Iterator[bool]:
    """Whether the unit is this job's to do; the first of its processes asks for all."""
    with contextlib.ExitStack() as stack:
        ours = True
        if devices.is_primary():
            try:
                stack.enter_context(locked(unit.folder))
            except Locked:
                ours = False
        yield bool(devices.from_primary(ours)[0])


def _do(plan: SweepPlan, unit: Unit, progress: Progress, reals: dict[Hashable, Real]) -> None:
    """Trains and measures, from where the folder says it is; keeps `reals` from unit to unit."""
    data = plan.data[unit.config.data]
    left = [trial for trial in plan.trials_of(unit) if not is_measured(unit.folder, trial.key)]
    try:
        run = train(unit.config, progress, _watch(unit, data), data)
    except Diverged as error:  # all arms, so that there is nothing to measure
        for trial in left if devices.is_primary() else ():
            at = error.steps[unit.keys[trial.training_key]]
            store(Outcome(at), unit.folder, trial.key)
        return
    if not devices.is_primary():
        return
    arms = load_arms(run.folder)
    for trial in left:
        drawing = SamplingPlan.make(trial.config, run.facts.shape)
        count = drawing.judged_count
        real = reals.setdefault((unit.config.data, count), Real(data, count))
        arm = arms[unit.keys[trial.training_key]]
        store(_measure(unit, arm, drawing, data, real, progress), unit.folder, trial.key)


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
    unit: Unit,
    arm: TrainedArm,
    drawing: SamplingPlan,
    data: Dataset,
    real: Real,
    progress: Progress,
) -> Outcome:
    if arm.diverged is not None:
        return Outcome(arm.diverged)
    arms = {arm.arm.name: arm}  # as the run calls it, where its guides are sought
    guides = load_guides(unit.run_folder, arms, drawing.guidance.guided_by)
    (found,) = outcomes(drawing, arms, data, real, progress, guides, SWEPT, SEED).values()
    film = found.trajectory and found.trajectory.thinned(FILM_BYTES)
    return dataclasses.replace(found, trajectory=film)
