"""Training from Python: arms made of objects, on any data."""

import dataclasses
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.errors import UserError
from diffusion_jax.networks.conditioners import Conditioner
from diffusion_jax.networks.conditioners.base import Rows, check_agreement, encode
from diffusion_jax.networks.functions import FunctionNetwork
from diffusion_jax.networks.score_network import ScoreNetwork
from diffusion_jax.parallel import devices, processes
from diffusion_jax.runs.checkpoints import Checkpoint
from diffusion_jax.runs.progress import Progress
from diffusion_jax.runs.run import DataFacts, Run
from diffusion_jax.training.arm import Arm
from diffusion_jax.training.loop import Watch, fit, open_stream, train_in_folder
from diffusion_jax.training.memory import check_sizes
from diffusion_jax.training.options import Options
from diffusion_jax.training.own_data import as_dataset, own_condition, own_keys
from diffusion_jax.training.own_networks import check_networks
from diffusion_jax.training.program import Program, check_pretrained, first_states
from diffusion_jax.training.record import record
from diffusion_jax.training.trained import TrainedArm, read_arms, with_curves

Arms = Arm | Iterable[Arm]


def train(
    arms: Arms,
    data: Any,
    *,
    steps: int,
    batch_size: int,
    seed: int = 0,
    run_dir: str | Path | None = None,
    microbatches: int = 1,
    condition_dropout: float = 0.0,
    flip: bool = False,
    workers: int = 0,
    execution: str = "apart",
    diverged: str = "stop",
    log_every: int = 50,
    checkpoint_every: int = 500,
    keep: int = 2,
    keep_steps: tuple[int, ...] = (),
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> dict[str, TrainedArm]:
    """Trains arms side by side, on the same data, noise and uniform draws of time.

    Args:
        arms: one or several `Arm`s.
        data: a `Dataset`, a `Source`, an array x0 of shape (n, ...), or a pair of such an array and
            its condition, a dict of arrays with n rows.
        steps: updates of each arm.
        batch_size: examples of an update.
        seed: of first parameters, the order of the data, noise and noise levels.
        run_dir: a folder for checkpoints and logs; called again with the same arguments, training
            goes on there and ends with the same bits. None keeps nothing.
        microbatches: parts that a batch is taken in, to save memory.
        condition_dropout: share of examples that are shown without their condition.
        flip: whether half of the pictures are mirrored.
        workers: processes that read the data ahead; 0 reads it in this one.
        execution: "apart", "together" or "auto": how arms that share a compiled step are trained.
        diverged: "stop", or "drop" an arm whose numbers are no longer finite.
        log_every: steps between rows of the log.
        checkpoint_every: steps between checkpoints, and calls of `watch`.
        keep: newest checkpoints that stay.
        keep_steps: steps whose checkpoints stay besides.
        progress: where to show it; None for nowhere.
        watch: `(step, trained arms)`, called whenever a checkpoint is due.

    Returns:
        Name -> trained arm, with `.denoiser()`, `.params` (the averaged ones), `.objective` and
        `.curve`, the losses that were logged.

    Raises:
        UserError: the arms, the data or the run folder cannot work; the loss is not finite.
        Stopped: SIGTERM or SIGINT came.

    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> import optax
    >>> from diffusion_jax.process.objective import Objective
    >>> objective = Objective.make("cosine", "x0")
    >>> network = (
    ...     lambda key, x0, condition: jnp.zeros(x0.shape[1:]),
    ...     lambda params, x, c_noise, condition, key: params + 0 * x,
    ... )
    >>> arm = Arm("mean", objective, network, optimizer=optax.sgd(0.5), ema="none")
    >>> trained = train(arm, np.ones((64, 2), np.float32), steps=20, batch_size=32)
    >>> trained["mean"].params.round(2).tolist()
    [1.0, 1.0]
    """
    processes.check_joined()
    _check_arguments(run_dir, progress, watch)
    options = Options(
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        microbatches=microbatches,
        condition_dropout=condition_dropout,
        flip=flip,
        workers=workers,
        execution=execution,
        diverged=diverged,
        log_every=log_every,
        checkpoint_every=checkpoint_every,
        keep=keep,
        keep_steps=keep_steps,
    )
    dataset = as_dataset(data)
    bound, facts, example = bind(arms, dataset, options)
    check_networks(bound, facts, example)
    program = Program.of(bound, options, facts, devices.data_mesh(), example)
    if run_dir is None:
        check_pretrained(program)
        check_sizes(program)
        _, make_states = first_states(program)
        begin = Checkpoint(0, make_states(), {})
        with closing(open_stream(dataset, program)) as stream:
            return fit(program, stream, begin, progress=progress, watch=watch)
    config = record(bound, dataset, options, example, run_dir)
    run = train_in_folder(config, program, dataset, progress=progress, watch=watch)
    return with_curves(read_arms(run, bound, example=example), run.folder)


def _check_arguments(run_dir: object, progress: object, watch: object) -> None:
    if run_dir is not None and (not isinstance(run_dir, str | Path) or not str(run_dir)):
        raise UserError(f"run_dir must name a folder, or be None to keep nothing, got {run_dir!r}.")
    if progress is not None and not isinstance(progress, Progress):
        raise UserError(f"progress must be a Progress() or None, got {progress!r}.")
    if watch is not None and not callable(watch):
        raise UserError(f"watch must be a function (step, trained arms), got {watch!r}.")


def named(arms: Arms) -> list[Arm]:
    """The arms that users gave.

    Raises:
        UserError: none, or two of one name.
    """
    listed = [arms] if isinstance(arms, Arm) or not isinstance(arms, Iterable) else list(arms)
    if not listed or not all(isinstance(arm, Arm) for arm in listed):
        raise UserError("arms must be one or more of dj.Arm(name, objective, network).")
    names = [arm.name for arm in listed]
    if len(set(names)) < len(names):
        raise UserError(f"Two arms have one name: {', '.join(names)}.")
    return listed


def restored(arms: Arms, run: Run) -> dict[str, Arm]:
    """Arms as they were bound in a run, by what that says of its data.

    Raises:
        UserError: as `bind` does.
    """
    options, found = Options.of(run.config), {}
    for arm in named(arms):
        network = arm.network
        if isinstance(network, ScoreNetwork) and network.conditioner is not None:
            own = network.conditioner.restored(run.facts.states)
            arm = dataclasses.replace(arm, network=network.clone(encoder=own))
        found[arm.name] = arm.bound(options)
    return found


def bind(arms: Arms, data: Dataset, options: Options) -> tuple[dict[str, Arm], DataFacts, Rows]:
    """Makes arms ready for a training.

    Args:
        arms: as users gave them.
        data: the data set.
        options: of the training.

    Returns:
        Name -> arm, its conditioner fit to the data; the facts of the data set; and a row of its
        condition, for networks without conditioners.

    Raises:
        UserError: no arm, two of one name, or one that the data or the options do not suit.
    """
    found = {arm.name: _fit(arm, data).bound(options) for arm in named(arms)}
    parts = {name: part for name, arm in found.items() if (part := arm.network.conditioner)}
    check_agreement(parts)
    _check_dropout(found, options)
    example: Rows = {}
    if any(isinstance(arm.network, FunctionNetwork) for arm in found.values()):
        first = [data.train[0]]
        example = own_condition(first, own_keys(data)) | encode(parts.values(), first)
    return found, DataFacts.of(data, parts.values()), example


def _fit(arm: Arm, data: Dataset) -> Arm:
    network = arm.network
    if not isinstance(network, ScoreNetwork) or network.conditioner is None:
        return arm
    own: Conditioner = network.conditioner.fit(data)
    return dataclasses.replace(arm, network=network.clone(encoder=own))


def _check_dropout(arms: Mapping[str, Arm], options: Options) -> None:
    for name, arm in arms.items():
        network = arm.network
        if options.condition_dropout and isinstance(network, FunctionNetwork) and not network.drops:
            raise UserError(
                f"condition_dropout={options.condition_dropout} needs to know what says nothing "
                f"to the network of arm {name!r}: give it a method null(condition)."
            )
