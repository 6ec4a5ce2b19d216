"""This library's half: the same models from the folders that the original wrote."""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffusion_jax.published.model import ReleasedModel, released
from diffusion_jax.published.parts import Part, read_json, read_part
from diffusion_jax.published.pipelines.base import process_of
from diffusion_jax.published.schedulers.scheduler import Scheduler
from diffusion_jax.sampling.editing import last_part
from diffusion_jax.sampling.loop import sample_keys
from experiments.parity.kind import ADAPTER, Arrays, NetworkKind, PipelineKind
from experiments.parity.kinds import kinds
from experiments.parity.plan import DrawnModel, ParityTrial
from experiments.parity.replayed import Replayed, draws_of
from experiments.parity.rounding import OURS, apart

ARGUMENTS = ("strength",)  # of a run, which are no settings of a model


def measure(folder: Path, model: DrawnModel, index: int) -> dict[str, list[float]]:
    """How far apart the two are: name -> the largest relative difference, of each step.

    Args:
        folder: of all models.
        model: which of them.
        index: of the trial.
    """
    own, trial, kind = folder / model.name, model.trials[index], kinds()[model.kind]
    with np.load(own / f"{index}.npz") as stored:
        arrays = dict(stored)
    given, wanted = (
        {k.removeprefix(p): v for k, v in arrays.items() if k.startswith(p)}
        for p in ("in/", "out/")
    )
    with jax.enable_x64(trial.dtype == "float64"):
        if isinstance(kind, NetworkKind):
            part = read_part(own / "model", trial.dtype)
            found = network(kind, part, model, given)
        else:
            read = _read(own, trial.dtype, model.kind, json.dumps(model.options))
            found = pipeline(kind, read, model, index, given, own)
            kept: dict[str, Any] = {name: np.asarray(found[name]) for name in wanted}
            np.savez(own / f"{index}{OURS}", **kept)
    return {name: apart(found[name], wanted[name], name == "latents") for name in wanted}


@functools.lru_cache(maxsize=2)
def _read(folder: Path, dtype: str, kind: str, options: str) -> ReleasedModel:
    """A model of which several trials are run one after another; settings are JSON."""
    known, told = kinds()[kind], json.loads(options)
    if isinstance(known, PipelineKind) and known.read is not None:
        read: ReleasedModel = known.read(
            folder / "model", dtype, folder / f"{dtype}_{ADAPTER}", told
        )
        return read
    settings = {k: v for k, v in told.get("settings", {}).items() if k not in ARGUMENTS}
    return released(folder / "model", dtype, settings=settings)


def network(kind: NetworkKind, part: Part, model: DrawnModel, given: Arrays) -> dict[str, Any]:
    """What a network gives by itself."""

    @jax.jit
    def run(params: Any, given: Any) -> dict[str, Any]:
        return kind.ours(part.module, params, model.options, given)

    return run(part.params, {name: in_precision(array) for name, array in given.items()})


def in_precision(array: np.ndarray) -> jax.Array:
    """On the device; numbers in the precision that is switched on."""
    return jnp.asarray(array, float if np.issubdtype(array.dtype, np.floating) else None)


def pipeline(
    kind: PipelineKind,
    model: ReleasedModel,
    drawn: DrawnModel,
    index: int,
    given: Arrays,
    folder: Path,
) -> dict[str, Any]:
    """What a pipeline draws: latents after each step, the picture, and what it makes of text."""
    trial, prompts = drawn.trials[index], list(drawn.prompts)
    own = dataclasses.replace(model, scheduler=_scheduler(model, drawn, trial, folder))
    arrays = {name: jnp.moveaxis(in_precision(each), 1, -1) for name, each in given.items()}
    noises = [each for name, each in arrays.items() if name.startswith("noise")]
    size = noises[0].shape[1] * model.factor, noises[0].shape[2] * model.factor
    nodes = own.nodes(trial.steps, size)
    solver = own.scheduler.solver(trial.steps)
    start = noises[0] * own.scheduler.start_scale(nodes)
    if "known" in arrays:
        nodes = last_part(nodes, drawn.options["settings"]["strength"])
        start = nodes[0].level.mix(arrays["known"], noises[0])
    if len(noises) > 1:
        solver = Replayed(solver, nodes, draws_of(solver, nodes, jnp.stack(noises[1:])))
    keys = sample_keys(jax.random.key(0), len(prompts))
    scale = 1.0 if trial.guidance is None else trial.guidance
    guide = scale if kind.guide is None else kind.guide(drawn.options, scale)
    drawn_latents, steps = own.sample_from(
        start, prompts, keys, None, guide, solver, nodes, size, save=latents
    )
    picture = jnp.clip(model.decode(drawn_latents) / 2 + 0.5, 0, 1)
    asked = {f"text_{name}": rows for name, rows in model.ask(prompts, size).items()}
    return {"latents": jnp.moveaxis(steps, -1, 2), "picture": picture, **asked}


def latents(state: Any) -> Any:
    """x after a step."""
    return state.x


def _scheduler(
    model: ReleasedModel, drawn: DrawnModel, trial: ParityTrial, folder: Path
) -> Scheduler:
    """That of the file which the original wrote of the trial in single precision."""
    same = dataclasses.replace(trial, dtype="float32")
    index = drawn.trials.index(same)
    config = read_json(folder / f"scheduler_{index}" / "scheduler_config.json")
    return process_of(config, model.pipeline)
