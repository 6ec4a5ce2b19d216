"""The training loop.

Every step takes one batch of pictures and one set of random numbers, for all arms: the same
images, the same noise, the same uniform draw of time. Each arm turns them into its own noise
levels, targets and weights, and updates its own state. So differences between arms are paired.

Step n depends on the config and n alone. A run that is cut off at any moment and started again
goes on from its last checkpoint and ends with the same numbers, bit for bit on the same hardware,
as one that was not.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from types import MappingProxyType

import jax
import numpy as np
from ml_collections import ConfigDict

from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.data.pipeline import BatchIterator, batches
from diffusion_jax.errors import UserError
from diffusion_jax.files import user_path
from diffusion_jax.parallel import devices, processes
from diffusion_jax.runs.checkpoints import Checkpoint, Checkpoints, check_room, saved_steps
from diffusion_jax.runs.fields import check_fields
from diffusion_jax.runs.identity import identity
from diffusion_jax.runs.journal import LISTED, Journal
from diffusion_jax.runs.kept import kept_steps
from diffusion_jax.runs.length import check_length
from diffusion_jax.runs.lock import locked
from diffusion_jax.runs.metrics_log import MetricsLog
from diffusion_jax.runs.progress import Progress
from diffusion_jax.runs.run import Run, clear, is_run, of_objects
from diffusion_jax.runs.stopped import Stopped
from diffusion_jax.runs.stopping import StopSignals
from diffusion_jax.training.arms import baseline_arm
from diffusion_jax.training.autoencoders import write_autoencoders
from diffusion_jax.training.conditioning import data_facts
from diffusion_jax.training.execution import States, Trainer
from diffusion_jax.training.flip import check_flip
from diffusion_jax.training.idle import refuse_idle
from diffusion_jax.training.memory import TooLarge, check_sizes
from diffusion_jax.training.options import Options
from diffusion_jax.training.program import Program, check_pretrained, first_states
from diffusion_jax.training.starts import Start, load_starts
from diffusion_jax.training.teachers import load_teachers
from diffusion_jax.training.trained import TrainedArm

# Called before a checkpoint is saved, with the steps made and the arms as they are.
Watch = Callable[[int, Mapping[str, TrainedArm]], None]


def train(
    config: ConfigDict,
    progress: Progress | None = None,
    watch: Watch | None = None,
    data: Dataset | None = None,
) -> Run:
    """Trains the arms of a config side by side, from where its run folder says they are.

    Args:
        config: see `configs/base.py`.
        progress: where to show it; None for nowhere.
        watch: looks at the arms whenever a checkpoint is due, in the first process alone. After
            an interruption it may see the same steps again, with the same numbers.
        data: the data set of the config, where it has been made already.

    Returns:
        The run; its newest checkpoint is that of the last step. An autoencoder that was trained
        is in its folder too, see `write_autoencoders`.

    Raises:
        UserError: the config cannot work, the run folder or a checkpoint does not fit it or is
            damaged, it asks for a number of steps that the run cannot go on to, another process
            trains there, the loss is no longer finite, or the disk is full.
        Stopped: SIGTERM or SIGINT came; the state has been saved.
    """
    processes.check_joined()
    check_fields(config)
    baseline_arm(config)
    if not is_run(config.run_dir):
        refuse_idle((config,))
    data = datasets.make(config.data) if data is None else data
    check_flip(config, data)
    facts, mesh = data_facts(config, data), devices.data_mesh()
    teachers = load_teachers(config, facts, mesh)
    program = Program.build(config, facts, mesh, teachers)
    # Once a run has begun, it goes on from what it has learnt itself.
    begun = saved_steps(user_path(config.run_dir))
    starts = {} if begun else load_starts(program.arms, facts)
    run = train_in_folder(config, program, data, starts, progress, watch)
    if devices.is_primary():
        write_autoencoders(run, program.arms, data)
    return run


def train_in_folder(
    config: ConfigDict,
    program: Program,
    data: Dataset,
    starts: Mapping[str, Start] = MappingProxyType({}),
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> Run:
    """Trains arms, from where a run folder says they are, and keeps there what comes of it.

    Args:
        config: says all that training depends on; it is kept in the folder `config.run_dir`.
        program: the arms.
        data: the data set.
        starts: arm -> where it starts, if not from new parameters.
        progress: as of `train`.
        watch: as of `train`.

    Raises:
        UserError, Stopped: as `train` does.
    """
    options, arms = program.options, program.arms
    check_sizes(program)
    shapes, make_states = first_states(program, {n: start.params for n, start in starts.items()})
    stream = open_stream(data, program)
    kept = options.keep_steps if of_objects(config) else kept_steps(config)
    teachers = {
        name: arm.few_steps.teacher
        for name, arm in arms.items()
        if arm.few_steps is not None and arm.few_steps.teacher is not None
    }
    with _alone_in(config.run_dir):
        new = not is_run(config.run_dir)
        if new:
            check_pretrained(program)
            _check_room(config.run_dir, options, shapes, kept)
        else:
            check_length(Run.of(config), options.steps, arms)
        run = Run.create(config, program.facts)
        known = functools.partial(identity, run, arms, teachers=teachers)
        sources = {name: start.source for name, start in starts.items()}
        for name, arm in arms.items():
            if arm.pretrained is not None and name not in starts:
                sources[name] = {"released": arm.pretrained.source}
        first = {"starts": sources}
        try:
            saved = Checkpoints(run.folder, options.keep, kept, known)
            with saved as checkpoints, closing(stream):
                begin = checkpoints.restore(shapes) or Checkpoint(0, make_states(), first)
                if begin.step < options.steps:
                    fit(program, stream, begin, run.folder, checkpoints, progress, watch)
        except TooLarge:
            if new and devices.is_primary():
                clear(run.folder)
            raise
    return run


def _check_room(run_dir: str, options: Options, shapes: States, kept: Collection[int]) -> None:
    """Raises UserError unless all checkpoints that will lie side by side fit on the disk."""
    saved = math.ceil(options.steps / options.checkpoint_every)
    # The oldest is removed once the newest is whole.
    check_room(user_path(run_dir), shapes, min(saved, options.keep + 1 + len(kept)))


def _alone_in(run_dir: str) -> AbstractContextManager[None]:
    """Keeps other trainings out; of several processes that train together, one does so for all."""
    if not run_dir:
        raise UserError("run_dir is empty: name a folder, e.g. --config.run_dir=runs/mine.")
    return locked(user_path(run_dir)) if devices.is_primary() else nullcontext()


def fit(
    program: Program,
    stream: BatchIterator,
    begin: Checkpoint,
    folder: Path | None = None,
    checkpoints: Checkpoints | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> dict[str, TrainedArm]:
    """The loop: from `begin` to the last step, saving as it goes.

    Args:
        program: the arms.
        stream: of batches; it is put where `begin` says.
        begin: where training is; its states must not be used afterwards.
        folder: for logs and how arms are executed; None for nowhere.
        checkpoints: where states are saved; None for nowhere.
        progress: as of `train`.
        watch: as of `train`.

    Returns:
        Arm -> what came of it.
    """
    options = program.options
    if begin.step:
        stream.restore(begin.position["data"])
    shown = progress if progress and devices.is_primary() else Progress(quiet=True)
    shown.say(processes.check_joined())
    log_folder = folder if devices.is_primary() else None
    pending = begin.position.get("log", ())
    log = MetricsLog(log_folder, options.log_every, options.steps, begin.step, pending)
    names = tuple(program.arms)
    listed = ", ".join(names) if len(names) <= LISTED else f"{len(names)} arms"
    showing = shown.phase(f"Training {listed}", options.steps, begin.step)
    last_good = checkpoints.last_good if checkpoints else lambda: "Nothing was saved."
    with StopSignals() as signals, log, showing as advance:
        drops = options.diverged == "drop"
        gone = begin.position.get("diverged", {})
        journal = Journal(log, advance, last_good, names, drops, gone)
        trainer: Trainer | None = None
        for step in range(begin.step + 1, options.steps + 1):
            batch = devices.split_rows(next(stream), program.mesh)
            inputs = program.inputs(batch, program.draw(np.int32(step)))
            if trainer is None:
                trainer = Trainer(program, begin.states, inputs, folder)
            journal.add(step, trainer.update(inputs, journal.dropped))

            signum = signals.agreed()
            if signum or step == options.steps or step % options.checkpoint_every == 0:
                journal.read()
                states = trainer.states()
                journal.inspect(step, states)
                watching = watch if devices.is_primary() else None
                if watching or step == options.steps:
                    trained = as_trained(program, states, step, journal.diverged)
                if watching:
                    watching(step, trained)
                if checkpoints:
                    position = {"data": stream.state(), **journal.position()}
                    position["starts"] = begin.position.get("starts", {})
                    checkpoints.save(step, states, position, journal.dropped)
            if signum:
                done = f"Stopped after step {step} of {options.steps} as asked."
                if checkpoints is None:
                    raise Stopped(f"{done} {last_good()}", signum)
                checkpoints.wait()
                advice = "The same command goes on from there."
                raise Stopped(f"{done} {last_good()} {advice}", signum)
    return {
        name: dataclasses.replace(arm, curve=log.curves.get(name, {}))
        for name, arm in trained.items()
    }


def as_trained(
    program: Program, states: States, step: int, diverged: Mapping[str, int]
) -> dict[str, TrainedArm]:
    """The arms with their averaged parameters, on one device of this process."""
    return {
        name: TrainedArm.of(program.arms[name], devices.local(state.ema), step, diverged.get(name))
        for name, state in states.items()
    }


def open_stream(data: Dataset, program: Program) -> BatchIterator:
    """Endless batches of a data set, this process's rows of them."""
    return batches(
        data.train,
        program.encode,
        program.options.batch_size,
        program.options.seed,
        jax.process_index(),
        jax.process_count(),
        augment_flip=program.options.flip,
        workers=program.options.workers,
    )
