"""Trains the arms of a config together, samples each in many ways, and writes a report.

    python -m experiments.compare --config=configs/quickstart.py
    python -m experiments.compare --config=configs/quickstart.py --config.training.steps=300 \\
        --config.sampling.solvers="('ddim', 'heun')" --config.run_dir=runs/short
    python -m experiments.compare --config=configs/shapes.py --sweep=configs/sweeps/schedules.py

All arms see the same pictures, noise and uniform times, and draw their samples for the same
captions from the same noise, so their differences are paired. The report is `report.html` in the
run folder, one file that opens offline; its numbers are in `results.json` too. Started again, the
command goes on where it was.

With --sweep, the arms are those of a sweep file: products, zips and lists of any fields, with
several training seeds. The plan is printed before it starts. Stopped at any time, it goes on where
it was; started several times at once, the processes share the work; a sweep that has grown runs
what is new.
"""

import dataclasses
import datetime
import shlex
import sys
import time
from collections.abc import Collection
from typing import Any

from absl import flags
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError
from experiments import cli
from experiments.command_line import overridden

REPORT, RESULTS = "report.html", "results.json"
PILOT = flags.DEFINE_string(
    "pilot", "", "folder of an earlier sweep, by which the plan says what its seeds can show"
)
SWEEP = flags.DEFINE_string("sweep", "", "a sweep file, such as configs/sweeps/schedules.py")


def main(config: ConfigDict) -> None:
    """Compares the arms of the config, or those of a sweep over it."""
    if SWEEP.value:
        sweep(config, SWEEP.value, overridden())
    else:
        if PILOT.value:
            raise UserError("--pilot tells what the seeds of a sweep can show: give a --sweep.")
        compare(config, overridden())


def sweep(config: ConfigDict, path: str, written: Collection[str] = ()) -> None:
    """Does the sweep of a file; the last line printed is the report's path.

    Args:
        config: the base of all arms.
        path: of the file.
        written: fields that the command line gives.
    """
    from diffusion_jax.files import save
    from diffusion_jax.parallel.devices import is_primary
    from diffusion_jax.reports import sweep_page, sweep_results
    from diffusion_jax.reports.sweep_csv import csv_files
    from diffusion_jax.runs.progress import Progress
    from diffusion_jax.sweeps.plan import make_plan
    from diffusion_jax.sweeps.work import work
    from experiments.config_files import load_sweep

    start = time.monotonic()
    plan = make_plan(config, load_sweep(path), written, PILOT.value)
    if is_primary():
        print("\n".join(plan.describe()), flush=True)
    failures = work(plan, Progress())
    if not is_primary():
        return
    report = sweep_results.report(plan, failures, _provenance(config, time.monotonic() - start))
    for name, text in csv_files(report).items():
        save(text, plan.folder / "csv" / name)
    print(sweep_page.write(report, plan.folder / REPORT))
    if failures:
        raise UserError(
            f"{len(failures)} of {len(plan.units)} groups failed, the first because: "
            f"{failures[0].reason} The report tells which arms. The same command tries them again."
        )


def _refuse_few(config: ConfigDict, written: Collection[str]) -> None:
    """Raises UserError if fewer samples are asked for where arms are judged than elsewhere."""
    count, judged = config.sampling.count, config.sampling.headline_count
    if "sampling.headline_count" in written and judged < count:
        raise UserError(
            f"sampling.headline_count={judged} would change nothing: it is less than "
            f"sampling.count={count}."
        )


def compare(config: ConfigDict, written: Collection[str] = ()) -> None:
    """Trains, samples, reports; the last line printed is the report's path.

    Args:
        config: see `configs/base.py`.
        written: fields that the command line gives.
    """
    from diffusion_jax.files import save
    from diffusion_jax.inference.measure import measure
    from diffusion_jax.inference.preflight import prepare
    from diffusion_jax.parallel.devices import is_primary
    from diffusion_jax.reports import comparison, page
    from diffusion_jax.runs.fields import check_fields
    from diffusion_jax.runs.progress import Progress
    from diffusion_jax.strict_json import to_json
    from diffusion_jax.training.idle import refuse_idle
    from diffusion_jax.training.loop import train
    from diffusion_jax.training.trained import load_arms, load_guides, sound

    start = time.monotonic()
    check_fields(config)
    refuse_idle((config,), written)
    _refuse_few(config, written)
    prepared = prepare(config, (RESULTS, REPORT))
    data, plan = prepared.data, prepared.plan
    if is_primary():
        print("\n".join(prepared.notes), end="\n" * bool(prepared.notes), flush=True)
    progress = Progress()
    run = train(config, progress, data=data)
    if not is_primary():
        return
    arms = load_arms(run.folder, step=config.training.steps)
    guides = load_guides(run.folder, sound(arms), plan.guidance.guided_by)
    held_out = _held_out(plan, sound(arms), data, progress)
    found = comparison.Measured(
        config,
        plan,
        data,
        arms,
        tuple(measure(plan, arms, data, progress, guides)),
        comparison.loss_curves(run.folder),
        _provenance(config, time.monotonic() - start),
        held_out,
    )
    report = comparison.report(found)
    rows = {
        "baseline": report.baseline,
        "diverged": {arm.name: arm.diverged for arm in report.arms if arm.diverged is not None},
        "warnings": report.warnings,
        "not_measured": report.not_measured,
        "results": [dataclasses.asdict(row) for row in report.results],
        "paired": [dataclasses.asdict(row) for row in report.paired],
        "quality": [dataclasses.asdict(row) for row in report.quality],
        "held_out": {name: found.plain() for name, found in held_out.items()},
    }
    save(to_json(rows, indent=2), run.folder / RESULTS)
    print(page.write(report, run.folder / REPORT))


def _held_out(plan: Any, arms: Any, data: Any, progress: Any) -> dict[str, Any]:
    """What each arm makes of held-out pictures; consistency functions estimate no noise in them."""
    from diffusion_jax.metrics.heldout import PICTURES, held_out

    count, found = min(PICTURES, len(data.test)), {}
    with progress.phase("Held-out loss", len(arms), unit="arms") as done:
        for name, arm in arms.items():
            if arm.denoises:
                found[name] = held_out(arm, data, count, plan.seed, min(plan.batch_size, count))
            done(name)
    return found


def _provenance(config: ConfigDict, seconds: float) -> Any:
    from diffusion_jax.inference.measure import SAMPLING
    from diffusion_jax.reports.content import Provenance
    from diffusion_jax.runs import environment

    facts = environment.describe()
    git = facts["git"] or {"revision": "unknown", "modified": False}
    hardware = facts["hardware"]
    return Provenance(
        command=shlex.join(["python", "-m", "experiments.compare", *sys.argv[1:]]),
        revision=git["revision"][:12] + (" with changes" if git["modified"] else ""),
        hardware=f"{hardware['devices']} {hardware['device_kind']} device(s), "
        f"{hardware['processor']}",
        duration=seconds,
        seeds={"training": config.seed, "sampling": config.seed + SAMPLING},
        versions=facts["versions"],
        config=str(config),
        created=datetime.datetime.now().isoformat(" ", "minutes"),
    )


if __name__ == "__main__":
    cli.run(main)
