"""Turns a sweep into units of work: which arms are trained together, how long, and where.

A unit is a run folder of its own whose arms share data, seed, batches and compiled step. Trials
that are trained alike are trained once. Units that exist stay as they are, so an arm or a seed
that is added later makes new units and nothing else.
"""

import contextlib
import dataclasses
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from pathlib import Path

from ml_collections import ConfigDict

from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.errors import UserError, one_of
from diffusion_jax.files import user_path
from diffusion_jax.inference.measure import Sampling, SamplingPlan
from diffusion_jax.inference.preflight import check_data, check_measuring, check_sampling
from diffusion_jax.parallel import devices
from diffusion_jax.registry import canonical
from diffusion_jax.runs.fields import check_fields
from diffusion_jax.runs.kept import kept_steps
from diffusion_jax.runs.lock import waited
from diffusion_jax.runs.run import BEFORE, as_plain, completed, from_plain, is_run
from diffusion_jax.sealed import read_sealed, save_sealed
from diffusion_jax.sweeps.costs import Cost, Costs
from diffusion_jax.sweeps.outcomes import is_measured
from diffusion_jax.sweeps.pilot import RESULTS, power_line, read_pilot
from diffusion_jax.sweeps.sweep import Sweep
from diffusion_jax.sweeps.trials import Trial, key_of, make_trials, training_settings
from diffusion_jax.training.arms import FIELDS, check_brought, few_step, make_arms
from diffusion_jax.training.conditioning import data_facts
from diffusion_jax.training.idle import refuse_idle
from diffusion_jax.training.options import EXECUTIONS, Options

UNITS, UNIT, RUN = "units", "unit.json", "run"
LARGEST = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Unit:
    """Arms that are trained together, in a folder of their own.

    Attributes:
        folder: holds the run folder and what was measured.
        config: of the training; its arms are those of the unit.
        keys: training key -> name of the arm here.
    """

    folder: Path
    config: ConfigDict
    keys: Mapping[str, str]

    @property
    def run_folder(self) -> Path:
        """Where it is trained."""
        return self.folder / RUN


@dataclasses.dataclass(frozen=True)
class SweepPlan:
    """What a sweep has to do.

    Attributes:
        sweep: with all its arms.
        folder: of the sweep.
        trials: every arm with every seed, with the steps that its budget gives it.
        costs: of a training step of each trial.
        units: of which the trials' trainings are parts.
        data: spec -> data set.
        notes: sentences on what will not be measured, and why.
        shows: which differences the seeds can show, in a sentence.
    """

    sweep: Sweep
    folder: Path
    trials: tuple[Trial, ...]
    costs: tuple[Cost, ...]
    units: tuple[Unit, ...]
    data: Mapping[str, Dataset]
    notes: tuple[str, ...] = ()
    shows: str = ""

    def unit_of(self, trial: Trial) -> Unit:
        """Where a trial is trained."""
        return next(unit for unit in self.units if trial.training_key in unit.keys)

    def trials_of(self, unit: Unit) -> tuple[Trial, ...]:
        """The trials that are trained in a unit."""
        return tuple(trial for trial in self.trials if trial.training_key in unit.keys)

    def describe(self) -> tuple[str, ...]:
        """How many arms, how they are grouped, and how long a training takes, in lines."""
        seeds = sorted({trial.seed for trial in self.trials})
        trainings = {trial.training_key for trial in self.trials}
        seconds = sum(unit_seconds(self, unit) for unit in self.units)
        lines = [
            f"{len(self.sweep.arms)} arms × {len(seeds)} seeds: {len(self.trials)} trials, "
            f"{len(trainings)} trainings in {len(self.units)} groups; equal {self.sweep.budget}.",
            f"Training takes about {_duration(seconds)} on this machine, compilation and sampling "
            "aside.",
        ]
        for unit in self.units:
            config, names = unit.config, ", ".join(unit.keys.values())
            lines.append(
                f"{unit.folder.name}: {names}; seed {config.seed}, {config.training.steps} steps "
                f"of {config.training.batch_size} examples, {_duration(unit_seconds(self, unit))}"
            )
        return (*lines, *self.notes, *([self.shows] if self.shows else ()))


def unit_seconds(plan: SweepPlan, unit: Unit) -> float:
    """How long a unit trains, by the time that a step took alone."""
    seconds = {
        trial.training_key: cost.seconds * trial.config.training.steps
        for trial, cost in zip(plan.trials, plan.costs, strict=True)
        if trial.training_key in unit.keys
    }
    return sum(seconds.values())


def _duration(seconds: float) -> str:
    """
    >>> _duration(42.0), _duration(90.0), _duration(9000.0)
    ('42 s', '1.5 min', '2.5 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def make_plan(
    config: ConfigDict, sweep: Sweep, written: Collection[str] = (), pilot: str = ""
) -> SweepPlan:
    """Plans a sweep, and makes the folders of units that there are not yet.

    Args:
        config: the base of all arms; its `run_dir` is the folder of the sweep.
        sweep: what differs.
        written: fields that were given for this sweep, so that none may be without effect.
        pilot: folder of an earlier sweep that shows how much seeds scatter; if empty, what this
            folder's own earlier report shows.

    Raises:
        UserError: the pilot has no results; a field would have no effect; an arm cannot work, its
            name tells which; the folder holds something else.
    """
    check_fields(config)
    whole, trials = make_trials(config, sweep)
    execution = execution_of(config, sweep, "training.execution" in written)
    _refuse_idle(config, whole, written)
    folder = user_path(config.run_dir)
    if not config.run_dir or is_run(folder):
        what = "is empty" if not config.run_dir else f"{folder} holds a run, not a sweep"
        raise UserError(f"run_dir {what}: name a folder, e.g. --config.run_dir=runs/sweep.")
    data: dict[str, Dataset] = {}
    notes: dict[str, None] = {}
    sampled = []
    for trial in trials:
        with _naming(trial):
            check_fields(trial.config)
            Options.of(trial.config)
            few = few_step(trial.config.to_dict())
            if few is not None:
                check_brought(trial.arm, trial.changes, few)
            own = at_equal_nfe(trial, whole.nfe) if whole.nfe else trial
            if own.config.data not in data:
                data[own.config.data] = datasets.make(own.config.data)
                check_data(data[own.config.data])
            sampling = check_sampling(own.config, data_facts(own.config, data[own.config.data]))
            notes |= dict.fromkeys(check_measuring(sampling, data[own.config.data]))
            _check_judge(whole.judged_by, own.config)
            sampled.append(own)
    refuse_idle((trial.config for trial in trials), written)
    shows = _what_shows(whole, sampled, folder, pilot)
    with _alone(folder):
        costs = Costs(folder)
        trials = _with_budget(whole, sampled, costs, data)
        measured = tuple(costs.of(trial, data[trial.config.data]) for trial in trials)
        units = _units(folder, trials, data, execution)
    for unit in units:  # which may spell the spec of its data differently
        own = next(trial for trial in trials if trial.training_key in unit.keys)
        data.setdefault(unit.config.data, data[own.config.data])
    trials = tuple(_as_kept(trial, units) for trial in trials)
    return SweepPlan(whole, folder, trials, measured, units, data, tuple(notes), shows)


def _as_kept(trial: Trial, units: Sequence[Unit]) -> Trial:
    """A trial with the key under which its outcome is kept, which may be of an earlier version."""
    folder = next(unit.folder for unit in units if trial.training_key in unit.keys)
    if is_measured(folder, trial.key) or not is_measured(folder, trial.first_key):
        return trial
    return dataclasses.replace(trial, kept_as=trial.first_key)


def _what_shows(sweep: Sweep, trials: Sequence[Trial], folder: Path, pilot: str) -> str:
    """Which differences the seeds can show, by a pilot or by this sweep's earlier results."""
    seeds = [sum(trial.arm == arm for trial in trials) for arm in sweep.arms]
    sampling = trials[0].config.sampling
    judges = (sweep.judged_by,) if sweep.judged_by else (*sampling.metrics, "noise_error")
    where = user_path(pilot) if pilot else folder
    known = pilot or (where / RESULTS).exists()
    sampled = sampling.solvers[0], max(sampling.steps)
    found = read_pilot(where, judges, sampled) if known else None
    return power_line(len(seeds), min(seeds), found)


def execution_of(config: ConfigDict, sweep: Sweep, written: bool) -> str:
    """How arms that share a step are trained: as the sweep says, else as the config does.

    Raises:
        UserError: both say it, in different words. The config does if it was `written` for this
            sweep, or is not the default.
    """
    own, asked = config.training.execution, sweep.execution
    if asked and asked != own and (written or own != BEFORE["training"]["execution"]):
        raise UserError(
            f"The sweep has execution={asked!r} and the config training.execution={own!r}: "
            "leave it out of one of them."
        )
    return one_of(asked or own, EXECUTIONS, "training.execution")


def _refuse_idle(config: ConfigDict, sweep: Sweep, written: Collection[str]) -> None:
    """Raises UserError if a field was given that the sweep replaces, or has no use for."""
    for field in written:
        if all(field in each.changes for each in sweep.choices):
            why = "gives every arm its own: leave it out, or change the sweep"
        elif field == "sampling.steps" and sweep.nfe:
            why = f"compares at equal NFE, {sweep.nfe}, which chooses the steps: leave it out"
        elif field == "training.diverged" and config.training.diverged != "drop":
            why = "goes on without arms that diverge: leave it out, or say drop"
        else:
            continue
        raise UserError(f"--config.{field} would change nothing, since the sweep {why}.")


def _alone(folder: Path) -> contextlib.AbstractContextManager[None]:
    """One process plans at a time; of several of one job, the first waits for all."""
    return waited(folder) if devices.is_primary() else contextlib.nullcontext()


@contextlib.contextmanager
def _naming(trial: Trial) -> Iterator[None]:
    """Says of which arm a mistake is."""
    try:
        yield
    except UserError as error:
        raise UserError(f"Arm {trial.arm!r} of the sweep: {error}") from error


def _check_judge(metric: str, config: ConfigDict) -> None:
    known = (*config.sampling.metrics, "noise_error", "bits_per_dim", "psnr", "rmse")
    if metric:
        one_of(metric, known, "metric of the verdict")


def at_equal_nfe(trial: Trial, nfe: Sequence[int]) -> Trial:
    """A trial with the most steps that its solver can take with each number of evaluations.

    Raises:
        UserError: it has several solvers, or steps of its own; or one step takes more.
    """
    options = trial.config.sampling
    if len(options.solvers) > 1 or "sampling.steps" in trial.changes:
        what = "several solvers" if len(options.solvers) > 1 else "steps of its own"
        raise UserError(
            f"it has {what}, and the sweep compares at equal NFE: give each arm one solver, and "
            "leave sampling.steps alone."
        )
    sampling = SamplingPlan.make(trial.config)
    config = ConfigDict(trial.config.to_dict())
    config.sampling.steps = tuple(_most_steps(sampling, options.solvers[0], n) for n in nfe)
    return dataclasses.replace(trial, config=config)


def _most_steps(sampling: SamplingPlan, solver: str, nfe: int) -> int:
    """The most steps that take no more evaluations than allowed."""
    fitting = [n for n in range(1, nfe + 2) if sampling.evaluations(Sampling(solver, n)) <= nfe]
    if not fitting:
        raise UserError(f"One step of {solver!r} takes more than {nfe} evaluations.")
    return fitting[-1]


def _with_budget(
    sweep: Sweep, trials: Sequence[Trial], costs: Costs, data: Mapping[str, Dataset]
) -> tuple[Trial, ...]:
    """The trials with the steps that cost as much as the baseline's."""
    if sweep.budget == "steps":
        return tuple(trials)

    def step(trial: Trial) -> float:
        """What a step takes of the budget."""
        if sweep.budget == "images":
            return float(trial.config.training.batch_size)
        cost = costs.of(trial, data[trial.config.data])
        return cost.flops if sweep.budget == "flops" else cost.seconds

    base = next(trial for trial in trials if trial.arm == sweep.baseline)
    whole = base.config.training.steps * step(base)
    found = []
    for trial in trials:
        if "training.steps" in trial.changes:
            raise UserError(
                f"Arm {trial.arm!r} of the sweep has steps of its own, which the budget of equal "
                f"{sweep.budget} replaces: use budget='steps'."
            )
        config = ConfigDict(trial.config.to_dict())
        config.training.steps = min(max(1, round(whole / step(trial))), LARGEST)
        found.append(dataclasses.replace(trial, config=config))
    return tuple(found)


def _units(
    folder: Path, trials: Sequence[Trial], data: Mapping[str, Dataset], execution: str
) -> tuple[Unit, ...]:
    """Units that exist and are needed, then new ones for what is in none."""
    needed = {trial.training_key: trial for trial in reversed(trials)}  # the first of each
    needed = dict(reversed(needed.items()))
    kept = [unit for unit in _existing(folder, execution) if needed.keys() & unit.keys.keys()]
    done = {key for unit in kept for key in unit.keys}
    groups: dict[Hashable, dict[str, Trial]] = {}
    for key, trial in needed.items():
        if key not in done:
            groups.setdefault(_shared(trial, data[trial.config.data]), {})[key] = trial
    made = [_make_unit(folder, group, execution, trials) for group in groups.values()]
    for unit in made if devices.is_primary() else ():
        document = {"config": as_plain(unit.config), "keys": dict(unit.keys)}
        save_sealed(document, unit.folder / UNIT)
    devices.from_primary()  # other processes go on once the folders are there
    places = {key: place for place, key in enumerate(needed)}
    # In an order that is the same in all processes, whoever has seen which folder first.
    return tuple(sorted((*kept, *made), key=lambda u: min(places.get(k, LARGEST) for k in u.keys)))


def _shared(trial: Trial, data: Dataset) -> Hashable:
    """What the arms of a unit have in common: settings of the run, and the compiled step."""
    (arm,) = make_arms(trial.config, data_facts(trial.config, data)).values()
    settings = training_settings(trial.config)
    own = canonical({k: v for k, v in settings.items() if k not in FIELDS})
    return key_of(own), arm.program


def _make_unit(
    folder: Path, group: Mapping[str, Trial], execution: str, trials: Sequence[Trial]
) -> Unit:
    """A unit of new trainings; each arm has the fields in which it differs from the first."""
    first = next(iter(group.values())).config
    config = ConfigDict(first.to_dict())
    # However its arms are sampled, the networks that guide them are there.
    kept = {n for each in trials if each.training_key in group for n in kept_steps(each.config)}
    config.training.update(
        {"execution": execution, "diverged": "drop", "keep_steps": tuple(sorted(kept))}
    )
    keys: dict[str, str] = {}
    base = training_settings(first)
    for key, trial in group.items():
        # Trials with one name are of different seeds, so in different units; or differ in how
        # they are sampled, so have one key. Were it otherwise, the key tells them apart.
        keys[key] = trial.arm if trial.arm not in keys.values() else f"{trial.arm[:51]}-{key}"
        own = training_settings(trial.config)
        changed = {field: own[field] for field in FIELDS if own[field] != base[field]}
        arm = {field: value for field, value in changed.items() if "." not in field}
        if "training.ema" in changed:
            arm["training"] = {"ema": changed["training.ema"]}
        config.arms[keys[key]] = arm
    place = folder / UNITS / key_of({"keys": sorted(group)})
    config.run_dir = str(place / RUN)
    return Unit(place, config, keys)


def _existing(folder: Path, execution: str) -> list[Unit]:
    found = []
    for path in sorted((folder / UNITS).glob(f"*/{UNIT}")):
        remedy = f"delete the folder {path.parent} to train its arms again"
        document = read_sealed(path, remedy)
        try:
            config, keys = from_plain(completed(document["config"])), dict(document["keys"])
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path} is damaged: {remedy}.") from None
        # The folder may have been moved.
        config.run_dir = str(path.parent / RUN)
        config.training.execution = execution
        found.append(Unit(path.parent, config, _today(config, keys)))
    return found


def _today(config: ConfigDict, keys: Mapping[str, str]) -> dict[str, str]:
    """The keys of a unit's trainings; those that an earlier version wrote may be others."""
    found = {}
    for key, name in keys.items():
        alone = ConfigDict(config.to_dict())
        alone.arms = ConfigDict()
        alone.update(config.arms.get(name, {}))
        found[Trial(name, {}, alone).training_key if name in config.arms else key] = name
    return found
