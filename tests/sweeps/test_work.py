"""A whole sweep: measured, reported, killed, shared between processes."""

import csv
import dataclasses
import json
import math
import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError
from diffusion_jax.reports import content, page, sweep_results
from diffusion_jax.reports.content import Report
from diffusion_jax.runs.lock import locked
from diffusion_jax.runs.progress import Progress
from diffusion_jax.sweeps import Sweep, axis, choice, listed, outcomes, product
from diffusion_jax.sweeps.plan import SweepPlan, make_plan
from diffusion_jax.sweeps.work import work
from diffusion_jax.training import loop
from experiments import compare
from tests.sweeps import tiny
from tests.training.commands import finish, start
from tests.training.conftest import on_one_device

PROVENANCE = content.Provenance()
ATTRIBUTES = ("right: shape", "right: colour", "right: size", "right: place")
MEASURED = 2 + 2 * (2 + len(ATTRIBUTES))
COMMAND = ("-m", "tests.sweeps.run_tiny")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny sweep, done without interruption."""
    config = tiny.get_config()
    config.run_dir = str(tmp_path_factory.mktemp("sweep") / "run")
    with pytest.MonkeyPatch.context() as patch:
        on_one_device(patch)
        compare.sweep(config, tiny.__file__)
    return Path(config.run_dir)


@pytest.fixture
def plan(done: Path) -> SweepPlan:
    """Read back; planning changes nothing."""
    config = tiny.get_config()
    config.run_dir = str(done)
    return make_plan(config, tiny.get_sweep())


def report(plan: SweepPlan) -> Report:
    return sweep_results.report(plan, (), PROVENANCE)


def numbers(folder: Path) -> dict[str, list[dict[str, object]]]:
    """All that was measured, file by file."""
    found = {
        path.name: json.loads(path.read_text())["numbers"]
        for path in folder.glob("units/*/measured/*.json")
    }
    assert len(found) == 8  # two seeds of cosine and again, free, flow, boom
    return found


def test_the_same_arm_under_two_names_is_the_same(plan: SweepPlan) -> None:
    pairs = [pair for pair in report(plan).comparisons if pair.arm == "again"]
    # Held-out error and bits; with two step counts exact match, its attributes, kernel distance.
    assert len(pairs) == MEASURED
    assert all(pair.verdict == "identical" and pair.difference.value == 0 for pair in pairs)
    assert all(pair.seeds == 2 for pair in pairs)


def test_a_diverged_arm_is_told_and_has_no_number(plan: SweepPlan) -> None:
    found = report(plan)
    status = {arm.name: arm.status for arm in found.arms}
    assert "diverged at step" in status.pop("boom")
    assert set(status.values()) == {"done"}
    rows = [row for row in found.measurements if row.arm == "boom"]
    assert len(rows) == 2 * MEASURED and all(math.isnan(row.value) for row in rows)
    told = [pair.verdict for pair in found.comparisons if pair.arm == "boom"]
    assert told == ["no number"] * MEASURED


def test_samples_that_are_not_finite_are_told_and_have_no_number(
    plan: SweepPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if three samples of one seed of one arm had not been, where arms are judged."""
    broken = next(t for t in plan.trials if t.arm == "flow" and t.seed == 0)
    load, solver = outcomes.load, broken.config.sampling.solvers[0]

    def without(folder: Path, key: str) -> outcomes.Outcome | None:
        found = load(folder, key)
        if found is None or key != broken.key:
            return found
        rows = tuple(
            dataclasses.replace(row, value=math.nan) if row.steps == 3 else row
            for row in found.numbers
        )
        lost = {outcomes.sampling_key(solver, 3): 3}
        return dataclasses.replace(found, numbers=rows, not_finite=lost, missing=(0, 3, 7))

    monkeypatch.setattr(outcomes, "load", without)
    found = report(plan)
    status = {arm.name: arm.status for arm in found.arms}
    assert status["flow"] == f"seed 0 not finite: 3 samples with {solver}, 3 steps"
    told = {
        (p.metric, p.sampling.steps if p.sampling else 0): p
        for p in found.comparisons
        if p.arm == "flow"
    }
    assert {sampling for sampling, pair in told.items() if pair.verdict == "no number"} == {
        (metric, 3) for metric in ("exact_match", "kernel", *ATTRIBUTES)
    }
    assert found.samples is not None
    lost = {arm: indices for arm, indices in found.samples.missing.items() if indices}
    assert lost == {"flow": {0, 3, 7}}
    assert status["flow"] in page.render(found)


def test_a_sweep_without_a_number_says_what_became_of_its_arms(
    plan: SweepPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "load", lambda *_: outcomes.Outcome(diverged=3))
    with pytest.raises(UserError, match=r"No arm .* cosine \(diverged at step 3\); again"):
        report(plan)


def test_arms_that_differ_in_sampling_alone_share_the_training(plan: SweepPlan) -> None:
    found = {(p.arm, p.metric): p for p in report(plan).comparisons if p.sampling is None}
    assert found["free", "noise_error"].verdict == "identical"
    sampled = [p for p in report(plan).comparisons if p.arm == "free" and p.metric == "kernel"]
    assert all(pair.difference.value != 0 for pair in sampled)


def test_the_page_and_the_files_hold_what_was_measured(done: Path, plan: SweepPlan) -> None:
    text = (done / "report.html").read_text(encoding="utf-8")
    assert "boom" in text and "identical" in text
    with (done / "csv" / "measurements.csv").open() as file:
        rows = list(csv.DictReader(file))
    values = [row["value"] for row in rows if row["arm"] == "flow"]
    told = [row.value for row in report(plan).measurements if row.arm == "flow"]
    np.testing.assert_allclose([float(value) for value in values], told, rtol=1e-6)


def test_curves_end_with_what_is_measured_in_the_end(plan: SweepPlan) -> None:
    curves = {(c.arm, c.seed): c for c in report(plan).curves}
    assert curves["flow", 1].steps.tolist() == [4, 8, 12]
    assert curves["flow", 1].images.tolist() == [32, 64, 96]
    # All 32 test pictures are looked at, on the way and in the end.
    trial = next(t for t in plan.trials if t.arm == "flow" and t.seed == 1)
    outcome = outcomes.load(plan.unit_of(trial).folder, trial.key)
    assert outcome is not None
    assert curves["flow", 1].loss[-1] == pytest.approx(outcome.bins.mean(), rel=1e-5)


def test_killed_at_random_moments_it_ends_with_the_same_numbers(done: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    for files in ("*/curve.jsonl", "*/measured/*.json"):
        process = start(*COMMAND, str(cut))
        deadline = time.monotonic() + 200
        while not list(cut.glob(f"units/{files}")):
            assert process.poll() is None and time.monotonic() < deadline, finish(process)[2]
            time.sleep(0.02)
        time.sleep(random.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        finish(process)
    # Two at once share what is left; neither does what the other does.
    both = [start(*COMMAND, str(cut)) for _ in range(2)]
    for status, out, err in (finish(process) for process in both):
        assert status == 0, err
        lines = out.splitlines()
        assert lines[0].startswith("5 arms × 2 seeds: 10 trials, 6 trainings in 2 groups")
        assert lines[-1] == str(cut / "report.html")
    assert numbers(cut) == numbers(done)


@pytest.mark.usefixtures("one_device")
def test_only_what_is_new_is_done(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "grown"
    shutil.copytree(done, folder)
    config = tiny.get_config()
    config.run_dir = str(folder)
    grown = Sweep(
        listed(
            product(axis("schedule", "cosine"), axis("seed", 0, 1)),
            product(axis("sampling.guidance", strong="autoguidance(step=8)"), axis("seed", 0)),
            product(choice("new", schedule="edm"), axis("seed", 1)),
            product(
                choice(
                    "few",
                    {"sampling.solvers": "consistency", "sampling.guidance": "none"},
                    fewstep="easy_consistency()",
                ),
                axis("seed", 1),
            ),
        ),
    )
    before = set(folder.glob("units/*/measured/*.json"))
    whole, trained = loop.train, []

    def spied(config: ConfigDict, *rest: object) -> object:
        trained.append((config.seed, sorted(config.arms)))
        return whole(config, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("diffusion_jax.sweeps.work.train", spied)
    made = make_plan(config, grown)
    assert work(made, Progress(quiet=True)) == ()
    # "strong" only samples otherwise what is trained already.
    assert sorted(trained)[1:] == [(1, ["few"]), (1, ["new"])] and trained[0][0] == 0
    new = {
        (trial.arm, trial.seed)
        for trial in made.trials
        if outcomes.paths(made.unit_of(trial).folder, trial.key)[0] not in before
    }
    assert new == {("strong", 0), ("new", 1), ("few", 1)}
    found = sweep_results.report(made, (), PROVENANCE)
    assert {arm.name: arm.status for arm in found.arms} == dict.fromkeys(
        ("cosine", "strong", "new", "few"), "done"
    )
    # A consistency function has samples and no error in the noise.
    few = {(row.metric, row.sampling is None) for row in found.measurements if row.arm == "few"}
    assert few == {(metric, False) for metric in ("exact_match", "kernel", *ATTRIBUTES)}
    assert {row.arm for row in found.bin_losses} == {"cosine", "strong", "new"}


@pytest.mark.usefixtures("one_device")
def test_a_unit_that_fails_is_told_and_does_not_stop_the_others(done: Path, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(done, folder)
    config = tiny.get_config()
    config.run_dir = str(folder)
    made = make_plan(config, tiny.get_sweep())
    first, second = made.units
    for each in (first, second):
        shutil.rmtree(each.folder / "measured")
    (first.run_folder / "config.json").write_text("{")
    (failure,) = work(made, Progress(quiet=True))
    assert failure.unit == first and "damaged" in failure.reason
    found = sweep_results.report(made, (failure,), PROVENANCE)
    seed = first.config.seed
    assert all(f"seed {seed} failed: " in arm.status for arm in found.arms)
    assert any(failure.reason in line for line in found.plan)


def test_damaged_numbers_are_told(done: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(done, folder)
    path = next(folder.glob("units/*/measured/*.npz"))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"is damaged: delete it to measure again"):
        outcomes.load(path.parents[1], path.stem)


@pytest.mark.usefixtures("one_device")
def test_a_unit_that_another_process_does_is_waited_for(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "shared"
    shutil.copytree(done, folder)
    config = tiny.get_config()
    config.run_dir = str(folder)
    made = make_plan(config, tiny.get_sweep())
    first = made.units[0]
    measured = first.folder / "measured"
    measured.rename(tmp_path / "aside")
    pauses = []

    def other_process_ends(seconds: float) -> None:
        pauses.append(seconds)
        (tmp_path / "aside").rename(measured)

    monkeypatch.setattr("diffusion_jax.sweeps.work.time.sleep", other_process_ends)
    with locked(first.folder):
        assert work(made, Progress(quiet=True)) == ()
    assert len(pauses) == 1
