"""Runs tiny random models by the original libraries and by this one, and compares them.

    python -m experiments.parity --peers=.venv-peers/bin/python
    python -m experiments.parity --peers=… --seed=7 --only=unet2d --only=dit_pipeline --models=9
    python -m experiments.parity --peers=… --markdown=docs/parity.md

Models of every kind, with settings and parameters drawn by a seed, are built by diffusers and
transformers in the environment of --peers, saved as they save them, and run there; then they are
read from those folders and run here, on the same prompts and noise. Relative differences of more
than 1e-4 in single or 1e-6 in double precision, and whatever cannot be run, end the command with
status 1. `make parity` installs the peers.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.files import user_path
from experiments import plain
from experiments.parity import table
from experiments.parity.kind import ADAPTER, PipelineKind
from experiments.parity.kinds import kinds
from experiments.parity.plan import DTYPES, DrawnModel, drawn, to_json
from experiments.parity.rounding import judged
from experiments.parity.verdict import ComparedTrial, passes

LIBRARIES = ("torch", "diffusers", "transformers", "peft")
MOST = 1000  # models of a kind


def main(words: list[str]) -> None:
    """Prints the table, or writes it as Markdown; exits with 1 unless all is the same."""
    from diffusion_jax.files import check_target, save

    options = _options(words)
    if options.markdown:
        check_target(options.markdown)
    versions = versions_of(options.peers)
    models = drawn(options.seed, options.only or (), options.models, options.dtype or DTYPES)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.folder or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        ran = sorted(measured(models, str(user_path(options.peers)), folder), key=_place)
        found = [judged(folder, each) for each in ran]
    table.show(found)
    if options.markdown:
        print(save(table.markdown(found, options.seed, versions), options.markdown))
    if not passes(found):
        sys.exit(1)


def _place(found: ComparedTrial) -> tuple[str, int]:
    return found.model.name, found.model.trials.index(found.trial)


def _options(words: list[str]) -> Any:
    parser = plain.Parser("parity", __doc__)
    parser.add_argument("--peers", default=sys.executable, help="a Python that has the peers")
    parser.add_argument("--seed", type=int, default=0, help="of the models")
    parser.add_argument("--only", action="append", help="a kind; may be repeated (all)")
    parser.add_argument("--models", type=int, default=0, help="how many of each kind")
    parser.add_argument("--dtype", action="append", help="float32 or float64 (both)")
    parser.add_argument("--folder", default="", help="where to keep the models (not at all)")
    parser.add_argument("--markdown", default="", help="a file to write besides")
    options = parser.parse_args(words)
    for name in options.only or ():
        one_of(name, kinds(), "kind of model")
    for dtype in options.dtype or ():
        one_of(dtype, DTYPES, "dtype")
    if not 0 <= options.models <= MOST:
        raise UserError(f"--models must be from 1 to {MOST}, not {options.models}.")
    return options


def versions_of(peers: str) -> dict[str, str]:
    """Versions of the original libraries.

    Raises:
        UserError: that Python has not all of them.
    """
    lines = [f"import {name}; print({name}.__version__)" for name in LIBRARIES]
    try:
        ran = subprocess.run(
            [str(user_path(peers)), "-c", "; ".join(lines)],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        raise UserError(
            f"{peers} is no Python that has {', '.join(LIBRARIES)}: make parity installs them and "
            "names it with --peers."
        ) from None
    return dict(zip(LIBRARIES, ran.stdout.split(), strict=False))


def measured(models: Sequence[DrawnModel], peers: str, folder: Path) -> Iterator[ComparedTrial]:
    """Runs every trial by both libraries.

    Args:
        models: all of them.
        peers: a Python that has the original libraries.
        folder: where they write.
    """
    plan, by_name = folder / "plan.json", {model.name: model for model in models}
    plan.write_text(json.dumps(to_json(models)))
    for model in models:
        _write_adapter(folder / model.name, model)
    dtypes = dict.fromkeys(trial.dtype for model in models for trial in model.trials)
    workers = {dtype: _worker(peers, plan, folder, dtype) for dtype in dtypes}
    started = time.monotonic()
    for dtype, worker in workers.items():
        assert worker.stdout is not None
        left = {
            (model.name, i): trial
            for model in models
            for i, trial in enumerate(model.trials)
            if trial.dtype == dtype
        }
        for line in worker.stdout:
            told = json.loads(line)
            model = by_name[told["model"]]
            if "error" in told:
                own = [key for key in left if key[0] == model.name]
                for key in own if "trial" not in told else [(model.name, told["trial"])]:
                    yield ComparedTrial(model, left.pop(key), {}, f"the original: {told['error']}")
                continue
            trial = left.pop((model.name, told["trial"]))
            yield _compared(folder, model, told["trial"])
            _progress(model, trial.dtype, started)
        worker.wait()
        for (name, _), trial in left.items():
            yield ComparedTrial(
                by_name[name], trial, {}, f"the original ended: {folder}/{dtype}.log"
            )


def _write_adapter(folder: Path, model: DrawnModel) -> None:
    """Writes what the original is to read of ours."""
    kind = kinds()[model.kind]
    if isinstance(kind, PipelineKind) and kind.written is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for dtype in {trial.dtype for trial in model.trials}:
            kind.written(model.options, dtype, folder / f"{dtype}_{ADAPTER}")


def _compared(folder: Path, model: DrawnModel, index: int) -> ComparedTrial:
    from experiments.parity import ours

    trial = model.trials[index]
    try:
        return ComparedTrial(model, trial, ours.measure(folder, model, index))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return ComparedTrial(model, trial, {}, " ".join(f"{type(error).__name__}: {error}".split()))


def _worker(peers: str, plan: Path, folder: Path, dtype: str) -> "subprocess.Popen[str]":
    with (folder / f"{dtype}.log").open("w") as log:
        return subprocess.Popen(
            [peers, "-m", "experiments.parity.original", str(plan), str(folder), dtype],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )


def _progress(model: DrawnModel, dtype: str, started: float) -> None:
    seconds = time.monotonic() - started
    print(f"{seconds:6.0f} s  {model.kind} {model.number} {dtype}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    plain.run(main)
