"""Trains the arms of a config, samples each with several solvers and step counts, and reports.

    python -m experiments.compare --config=configs/quickstart.py
    python -m experiments.compare --config=configs/quickstart.py --config.training.steps=300 \\
        --config.sampling.solvers="('ddim', 'heun')" --config.run_dir=runs/short
    python -m experiments.compare --config=configs/shapes.py --sweep=configs/sweeps/schedules.py

All arms see the same pictures, noise and uniform times, and draw their samples for the same
captions from the same noise, so their differences are paired. The report is `report.html` in the
run folder, one file that opens offline; its numbers are in `results.csv` and `results.json` too.
Started again, the command goes on where it was.

With --model=FOLDER it compares ways of drawing from a model that others have released; see
`python -m experiments.compare --model= --help`.

With --sweep, the arms are those of a sweep file: products, zips and lists of any fields, with
several training seeds. The plan is printed before it starts. Stopped at any time, it goes on where
it was; started several times at once, the processes share the work; a sweep that has grown runs
what is new.
"""

import dataclasses
import shlex
import sys
import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from absl import flags
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError
from experiments import cli, compare_released, plain, sample_released
from experiments.command_line import overridden

if TYPE_CHECKING:
    from diffusion_jax.reports.provenance import Provenance

PILOT = flags.DEFINE_string(
    "pilot", "", "folder of an earlier sweep, by which the plan says what its seeds can show"
)
SWEEP = flags.DEFINE_string("sweep", "", "a sweep file, such as configs/sweeps/schedules.py")


def main(config: ConfigDict) -> None:
    """Compares the arms of the config, or those of a sweep over it."""
    if SWEEP.value:
        sweep(config, SWEEP.value, overridden(), PILOT.value)
    else:
        if PILOT.value:
            raise UserError("--pilot says what the seeds of a sweep can show: give a --sweep.")
        compare(config, overridden())


def sweep(config: ConfigDict, path: str, written: Collection[str] = (), pilot: str = "") -> None:
    """Does the sweep of a file; the last line printed is the report's path.

    Args:
        config: the base of all arms.
        path: of the file.
        written: fields that the command line gives.
        pilot: folder of an earlier sweep, by which the plan says what its seeds can show.
    """
    from diffusion_jax.parallel.devices import is_primary
    from diffusion_jax.reports import files, sweep_results
    from diffusion_jax.runs.progress import Progress
    from diffusion_jax.sweeps.plan import make_plan
    from diffusion_jax.sweeps.work import work
    from experiments.config_files import load_sweep

    start = time.monotonic()
    plan = make_plan(config, load_sweep(path), written, pilot)
    if is_primary():
        print("\n".join(plan.describe()), flush=True)
    failures = work(plan, Progress())
    if not is_primary():
        return
    report = sweep_results.report(plan, failures, _provenance(config, time.monotonic() - start))
    print(files.write(report, plan.folder))
    if failures:
        raise UserError(
            f"{len(failures)} of {len(plan.units)} groups failed, the first because: "
            f"{failures[0].reason} The report tells which arms. The same command tries them again."
        )


def _refuse_few(config: ConfigDict, written: Collection[str]) -> None:
    """Raises UserError if fewer samples are asked for where arms are judged than elsewhere."""
    count, judged = config.sampling.count, config.sampling.judged_count
    if "sampling.judged_count" in written and judged < count:
        raise UserError(
            f"sampling.judged_count={judged} would change nothing: it is less than "
            f"sampling.count={count}."
        )


def compare(config: ConfigDict, written: Collection[str] = ()) -> None:
    """Trains, samples, reports; the last line printed is the report's path.

    Args:
        config: see `configs/base.py`.
        written: fields that the command line gives.
    """
    from diffusion_jax.inference.preflight import prepare
    from diffusion_jax.parallel.devices import is_primary
    from diffusion_jax.reports import files
    from diffusion_jax.reports.compare import of_trained
    from diffusion_jax.reports.protocol import protocol
    from diffusion_jax.runs.fields import check_fields
    from diffusion_jax.runs.progress import Progress
    from diffusion_jax.training.idle import refuse_idle
    from diffusion_jax.training.loop import train
    from diffusion_jax.training.trained import load_arms, load_guides, sound, with_curves

    start = time.monotonic()
    check_fields(config)
    refuse_idle((config,), written)
    _refuse_few(config, written)
    prepared = prepare(config, files.NAMES)
    data, plan = prepared.data, prepared.plan
    if is_primary():
        print("\n".join(prepared.notes), end="\n" * bool(prepared.notes), flush=True)
    progress = Progress()
    run = train(config, progress, data=data)
    if not is_primary():
        return
    arms = with_curves(load_arms(run.folder, step=config.training.steps), run.folder)
    guides = load_guides(run.folder, sound(arms), plan.guidance.guided_by)
    report = of_trained(
        plan,
        arms,
        data,
        progress,
        guides,
        seed=config.seed,
        baseline=config.baseline,
        guidance=config.sampling.guidance,
        protocol=protocol([config], [data]),
        data_name=config.data,
        training_batch=config.training.batch_size,
    )
    made = _provenance(config, time.monotonic() - start)
    print(files.write(dataclasses.replace(report, provenance=made), run.folder))


def _provenance(config: ConfigDict, seconds: float) -> "Provenance":
    from diffusion_jax.reports.provenance import provenance

    command = shlex.join(["python", "-m", "experiments.compare", *sys.argv[1:]])
    return provenance(seconds, config.seed, command, str(config))


if __name__ == "__main__":
    if sample_released.is_asked(sys.argv[1:]):
        plain.run(compare_released.main)
    else:
        cli.run(main)
