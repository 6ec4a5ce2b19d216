"""The original's half of all models, in an environment that has it.

    PYTHON -m experiments.parity.original PLAN.json FOLDER DTYPE

For every trial of that dtype it writes what went in and what came out, FOLDER/MODEL/TRIAL.npz, and
prints a line of JSON when that is there. In single precision it also saves the models, each in its
own format, FOLDER/MODEL/model, with the schedulers of its trials beside it.
"""

import contextlib
import inspect
import json
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from experiments.parity import double
from experiments.parity.kind import ADAPTER, Arrays, NetworkKind, PipelineKind
from experiments.parity.kinds import kinds
from experiments.parity.plan import DrawnModel, ParityTrial, from_json

PATH = "BrownianTreeNoiseSampler"
Found = tuple[Arrays, Arrays]
"""What went in, and what came out."""


def main(plan: str, folder: str, dtype: str) -> None:
    """Runs all trials of a dtype."""
    torch.set_num_threads(1)
    if dtype == "float64":
        double.everywhere()
    for model in from_json(json.loads(Path(plan).read_text())):
        known = kinds()[model.kind]
        try:
            with double.single_sines() if known.single_sines else contextlib.nullcontext():
                _run(model, Path(folder, model.name), dtype)
        except Exception as error:
            _say(model=model.name, error=_line(error))


def _run(model: DrawnModel, folder: Path, dtype: str) -> None:
    kind = kinds()[model.kind]
    chosen = [i for i, trial in enumerate(model.trials) if trial.dtype == dtype]
    if not chosen:
        return
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(model.seed)
    run: Callable[[ParityTrial], Found]
    if isinstance(kind, PipelineKind):
        made = kind.build(model.options, make_scheduler(model.trials[0].scheduler))
        run = _pipeline(kind, model, made)
    else:
        made = kind.build(model.options).eval()
        randomise(made, np.random.default_rng(model.seed))
        run = _network(kind, model, made)
    if dtype == "float32":
        made.save_pretrained(folder / "model")
    if isinstance(kind, PipelineKind) and kind.adapt is not None:
        kind.adapt(made, model.options, folder / f"{dtype}_{ADAPTER}")
    for i in chosen:
        try:
            with torch.no_grad():
                given, found = run(model.trials[i])
        except Exception as error:
            _say(model=model.name, trial=i, error=_line(error))
            continue
        if dtype == "float32" and isinstance(kind, PipelineKind):
            make_scheduler(model.trials[i].scheduler).save_pretrained(folder / f"scheduler_{i}")
        arrays: dict[str, Any] = {f"in/{name}": array for name, array in given.items()}
        arrays |= {f"out/{name}": array for name, array in found.items()}
        np.savez(folder / f"{i}.npz", **arrays)
        _say(model=model.name, trial=i)


def _line(error: Exception) -> str:
    """An error in a line; all of it goes to the log."""
    traceback.print_exception(error)
    return f"{type(error).__name__}: {error}".splitlines()[0]


def randomise(module: Any, random: np.random.Generator, gain: float = 1.0) -> None:
    """Draws all parameters, so that none is zero and no part is without effect."""
    for name, value in module.state_dict().items():
        if not value.is_floating_point() or name in dict(module.named_buffers()):
            continue
        drawn = random.standard_normal(tuple(value.shape))
        if value.ndim >= 2:
            drawn *= gain / np.sqrt(max(np.prod(value.shape[1:]), 1))
        else:
            drawn = 0.1 * drawn + (name.endswith("weight") and value.ndim == 1)
        value.copy_(torch.from_numpy(np.asarray(drawn, "f4")))


def make_scheduler(settings: dict[str, Any]) -> Any:
    """A scheduler of the original, from the settings of its file."""
    import diffusers

    told = {name: value for name, value in settings.items() if name != "_class_name"}
    return getattr(diffusers, settings["_class_name"])(**told)


def _network(kind: NetworkKind, model: DrawnModel, made: Any) -> Callable[[ParityTrial], Found]:
    def run(trial: ParityTrial) -> Found:
        given = kind.inputs(model.options, np.random.default_rng(model.seed))
        wide = torch.float64 if trial.dtype == "float64" else torch.float32
        tensors = {name: torch.from_numpy(array) for name, array in given.items()}
        tensors = {k: v.to(wide) if v.is_floating_point() else v for k, v in tensors.items()}
        return given, {k: v.numpy() for k, v in kind.call(made, tensors).items()}

    return run


def _pipeline(kind: PipelineKind, model: DrawnModel, made: Any) -> Callable[[ParityTrial], Found]:
    random, settings = np.random.default_rng(model.seed), model.options.get("settings", {})
    for name in sorted(made.components):
        if isinstance(made.components[name], torch.nn.Module):
            randomise(made.components[name].eval(), random, kind.gain)
    made.set_progress_bar_config(disable=True)
    known = {} if kind.known is None else {"known": kind.known(np.random.default_rng(model.seed))}

    def run(trial: ParityTrial) -> Found:
        told = make_scheduler(trial.scheduler)
        # As its constructor has it, which changes settings of some.
        made.scheduler = type(made).from_pipe(made, scheduler=told, torch_dtype=None).scheduler
        tensors = {
            name: torch.from_numpy(array).to(made.unet.dtype) for name, array in known.items()
        }
        told = settings | tensors
        with recorded(made.scheduler) as taken, noise_of(model.seed) as noises:
            pictures = kind.call(made, model.prompts, trial.steps, trial.guidance, **told)
        count = len(model.prompts)
        latents = np.stack([x[:count].numpy() for x in taken])
        if kind.unpacked is not None:
            latents = kind.unpacked(latents, *noises[0].shape[2:])
        found = {"latents": latents, "picture": pictures}
        if kind.texts is not None:
            told = kind.texts(made, model.prompts, **settings)
            found |= {f"text_{name}": array.numpy() for name, array in told.items()}
        draws = {f"noise_{i}": noise for i, noise in enumerate(noises)}
        return draws | known, found

    return run


@contextlib.contextmanager
def recorded(scheduler: Any) -> Iterator[list[torch.Tensor]]:
    """Collects x after each step of a scheduler; a step may be several evaluations."""
    taken: list[torch.Tensor] = []
    step = scheduler.step
    halfway = False

    def told(output: Any, t: Any, sample: Any, *args: Any, **settings: Any) -> Any:
        nonlocal halfway
        found = step(output, t, sample, *args, **settings)
        if halfway:
            taken.pop()
        taken.append(found[0] if isinstance(found, tuple) else found.prev_sample)
        halfway = not getattr(scheduler, "state_in_first_order", True)
        # The first step of PNDM is taken again from the mean of two evaluations.
        halfway |= type(scheduler).__name__ == "PNDMScheduler" and scheduler.counter == 1
        return found

    # Pipelines look at what it takes.
    told.__signature__ = inspect.signature(step)  # type: ignore[attr-defined]
    scheduler.step = told
    yield taken
    del scheduler.step


@contextlib.contextmanager
def noise_of(seed: int) -> Iterator[list[np.ndarray]]:
    """Collects the noise that the original draws, which is the same in each dtype."""
    drawn: list[np.ndarray] = []
    random = np.random.default_rng(seed)

    def draw(shape: Sequence[int], *args: Any, **settings: Any) -> torch.Tensor:
        drawn.append(random.standard_normal(tuple(shape)).astype("f4"))
        return torch.from_numpy(drawn[-1]).to(settings.get("dtype") or torch.float32)

    with contextlib.ExitStack() as stack:
        for name, module in list(sys.modules.items()):
            if name.startswith("diffusers.") and "randn_tensor" in vars(module):
                stack.enter_context(mock.patch.object(module, "randn_tensor", draw))
        name = "diffusers.schedulers.scheduling_dpmsolver_sde"
        if name in sys.modules:

            def path(x: torch.Tensor, *ends: Any) -> Callable[..., torch.Tensor]:
                return lambda *step: draw(x.shape, dtype=x.dtype)

            stack.enter_context(mock.patch.object(sys.modules[name], PATH, path))
        yield drawn


def _say(**told: Any) -> None:
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
