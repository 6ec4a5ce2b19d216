"""The training loop.

Every step takes one batch of pictures and one set of random numbers, for all arms: the same
images, the same noise, the same uniform draw of time. Each arm turns them into its own noise
levels, targets and weights, and updates its own state. So differences between arms are paired.

Step n depends on the config and n alone. A run that is cut off at any moment and started again
goes on from its last checkpoint and ends with the same numbers, bit for bit on the same hardware,
as one that was not.
"""

import functools
import math
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, closing, nullcontext

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
from diffusion_jax.runs.kept import kept_steps
from diffusion_jax.runs.lock import locked
from diffusion_jax.runs.metrics_log import MetricsLog
from diffusion_jax.runs.progress import Progress
from diffusion_jax.runs.run import Run, clear, is_run
from diffusion_jax.runs.stopped import Stopped
from diffusion_jax.runs.stopping import StopSignals
from diffusion_jax.training.arms import baseline_arm
from diffusion_jax.training.conditioning import data_facts
from diffusion_jax.training.flip import check_flip
from diffusion_jax.training.groups import States
from diffusion_jax.training.identity import identity
from diffusion_jax.training.idle import refuse_idle
from diffusion_jax.training.journal import TOLD, Journal
from diffusion_jax.training.length import check_length
from diffusion_jax.training.memory import TooLarge, check_sizes
from diffusion_jax.training.program import Program, first_states
from diffusion_jax.training.starts import load_starts
from diffusion_jax.training.teachers import load_teachers
from diffusion_jax.training.team import Team
from diffusion_jax.training.trained import TrainedArm

# Told, before a checkpoint is saved, how many steps there were, and the arms as they are.
Watch = Callable[[int, Mapping[str, TrainedArm]], None]


def train(config: ConfigDict, progress: Progress | None = None, watch: Watch | None = None) -> Run:
    """Trains the arms of a config side by side, from where its run folder says they are.

    Args:
        config: see `configs/base.py`.
        progress: where to show it; None for nowhere.
        watch: looks at the arms whenever a checkpoint is due, in the first process alone. After
            an interruption it may see the same steps again, with the same numbers.

    Returns:
        The run; its newest checkpoint is that of the last step.

    Raises:
        UserError: the config cannot work, the run folder or a checkpoint does not fit it or is
            damaged, it asks for a number of steps that the run cannot go on to, another process
            trains there, the loss is no longer finite, or the disk is full.
        Stopped: SIGTERM or SIGINT came; the state has been saved.
    """
    joined = processes.check_joined()
    check_fields(config)
    baseline_arm(config)
    if not is_run(config.run_dir):
        refuse_idle((config,))
    data = datasets.make(config.data)
    check_flip(config, data)
    facts = data_facts(config, data)
    mesh = devices.data_mesh()
    teachers = load_teachers(config, facts, mesh)
    program = Program.build(config, facts, mesh, teachers)
    networks = {name: arm.network for name, arm in program.arms.items()}
    parts = config.training.microbatches * mesh.size
    check_sizes(networks, facts.shape, program.nothing(), config.training.batch_size, parts)
    # Once a run has begun, it goes on from what it has learnt itself.
    starts = {} if saved_steps(user_path(config.run_dir)) else load_starts(program.arms, facts)
    own = {name: start.params for name, start in starts.items()}
    shapes, make_states = first_states(program, config, facts, own)
    stream = _open_stream(config, data, program)
    kept = kept_steps(config)
    with _alone_in(config.run_dir):
        new = not is_run(config.run_dir)
        if new:
            _check_room(config, shapes, kept)
        else:
            check_length(Run.of(config), config, program.arms)
        run = Run.create(config, facts)
        known = functools.partial(identity, run, program.arms, teachers=teachers)
        first = {"starts": {name: start.told for name, start in starts.items()}}
        try:
            saved = Checkpoints(run.folder, config.training.keep, kept, known)
            with saved as checkpoints, closing(stream):
                begin = checkpoints.restore(shapes) or Checkpoint(0, make_states(), first)
                if begin.step < config.training.steps:
                    if begin.step:
                        stream.restore(begin.position["data"])
                    shown = progress if progress and devices.is_primary() else Progress(quiet=True)
                    shown.say(joined)
                    _loop(run, program, stream, begin, checkpoints, shown, watch)
        except TooLarge:
            if new and devices.is_primary():
                clear(run.folder)
            raise
    return run


def _check_room(config: ConfigDict, shapes: States, kept: Collection[int]) -> None:
    """Raises UserError unless all checkpoints that will lie side by side fit on the disk."""
    options = config.training
    saved = math.ceil(options.steps / options.checkpoint_every)
    # The oldest is removed once the newest is whole.
    check_room(user_path(config.run_dir), shapes, min(saved, options.keep + 1 + len(kept)))


def _alone_in(run_dir: str) -> AbstractContextManager[None]:
    """Keeps other trainings out; of several processes that train together, one does so for all."""
    if not run_dir:
        raise UserError("run_dir is empty: name a folder, e.g. --config.run_dir=runs/mine.")
    return locked(user_path(run_dir)) if devices.is_primary() else nullcontext()


def _loop(
    run: Run,
    program: Program,
    stream: BatchIterator,
    begin: Checkpoint,
    checkpoints: Checkpoints,
    progress: Progress,
    watch: Watch | None,
) -> None:
    """Steps from `begin` to the end, saving on the way."""
    options = run.config.training
    pending = begin.position.get("log", ())
    folder = run.folder if devices.is_primary() else None
    log = MetricsLog(folder, options.log_every, options.steps, begin.step, pending)
    names = tuple(program.arms)
    told = ", ".join(names) if len(names) <= TOLD else f"{len(names)} arms"
    showing = progress.phase(f"Training {told}", options.steps, begin.step)
    with StopSignals() as signals, log, showing as advance:
        drops = options.diverged == "drop"
        gone = begin.position.get("diverged", {})
        journal = Journal(log, advance, checkpoints.last_good, names, drops, gone)
        team: Team | None = None
        for step in range(begin.step + 1, options.steps + 1):
            batch = devices.split_rows(next(stream), program.mesh)
            draws = program.draw(np.int32(step))
            if team is None:
                team = Team.gather(run, program, begin.states, batch, draws)
            journal.add(step, team.update(batch, draws, journal.dropped))

            signum = signals.agreed()
            if signum or step == options.steps or step % options.checkpoint_every == 0:
                journal.settle()
                states = team.states()
                journal.inspect(step, states)
                if watch and devices.is_primary():
                    watch(step, _as_trained(program, states, step, journal.diverged))
                position = {"data": stream.state(), **journal.position()}
                position["starts"] = begin.position.get("starts", {})
                checkpoints.save(step, states, position, journal.dropped)
            if signum:
                checkpoints.wait()
                done = f"Stopped after step {step} of {options.steps} as asked."
                advice = "The same command goes on from there."
                raise Stopped(f"{done} {checkpoints.last_good()} {advice}", signum)


def _as_trained(
    program: Program, states: States, step: int, diverged: Mapping[str, int]
) -> dict[str, TrainedArm]:
    """The arms with their averaged parameters, on one device of this process."""
    return {
        name: TrainedArm(
            program.arms[name],
            devices.local(state.ema),
            step,
            diverged.get(name),
        )
        for name, state in states.items()
    }


def _open_stream(config: ConfigDict, data: Dataset, program: Program) -> BatchIterator:
    return batches(
        data.train,
        program.encode,
        config.training.batch_size,
        config.seed,
        jax.process_index(),
        jax.process_count(),
        augment_flip=config.flip,
        workers=config.training.workers,
    )
