"""What diverged, is not finite or cannot be measured has no number, and the report says so."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ml_collections import ConfigDict

from diffusion_jax.data.dataset import datasets
from diffusion_jax.errors import UserError
from diffusion_jax.inference import generate, measure
from diffusion_jax.metrics.heldout import held_out
from diffusion_jax.training.trained import load_arms
from experiments import compare
from tests.experiments.test_compare import by_sampling, tiny


def strictly(path: Path) -> Any:
    return json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"bare {name}"))


def found(config: ConfigDict) -> tuple[dict[str, Any], str]:
    """Results and page."""
    compare.compare(config)
    folder = Path(config.run_dir)
    return strictly(folder / "results.json"), (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ConfigDict:
    config = tiny(tmp_path_factory.mktemp("failures") / "run")
    config.network = "dit(patch=4, width=16, depth=1, heads=1)"
    config.arms = {
        "boom": {"optimizer": "sgd(learning_rate=1e30)"},
        "calm": {},
        "flow": {"schedule": "rectified_flow"},
    }
    config.training.steps, config.training.diverged = 4, "drop"
    config.sampling.solvers, config.sampling.steps = ("ddim",), (1, 2)
    return config


@pytest.mark.usefixtures("one_device")
def test_an_arm_that_diverged_is_named_and_is_no_baseline(run: ConfigDict) -> None:
    rows, page = found(run)
    assert rows["baseline"] == "calm"
    state = rows["status"]["boom"]
    step = int(state.removeprefix("diverged at step "))
    assert step <= 3 and rows["status"]["flow"] == "done"
    assert rows["warnings"] == ["The baseline is calm in the place of boom, which diverged."]
    assert rows["warnings"][0] in page
    assert f"1 arm of 3 did not run whole: boom ({state})." in page
    assert f"<small>{state}</small>" in page
    assert page.count("<small>baseline</small>") == 1
    assert all(row["value"] is None for row in rows["table"] if row["arm"] == "boom")
    known = {row["arm"] for row in rows["table"] if row["difference_error"] is not None}
    assert known == {"calm", "flow"}

    arms = load_arms(run.run_dir)
    with pytest.raises(UserError, match=f"'boom' diverged at step {step} of its training"):
        held_out(arms["boom"], datasets.make(run.data), 4)


@pytest.mark.usefixtures("one_device")
@pytest.mark.parametrize("arm", ["flow", "calm"])
def test_samples_that_are_not_finite_are_counted_and_not_measured(
    run: ConfigDict, monkeypatch: pytest.MonkeyPatch, arm: str
) -> None:
    """Three of the eight of one arm where arms are judged; with fewer steps all is well."""

    def broken(sampler: Any, params: Any, *more: Any) -> Any:
        samples, path = generate.generate(sampler, params, *more)
        if len(samples) == 8 and next(turn) == ("calm", "flow").index(arm):
            samples = samples.copy()
            samples[[0, 3, 7]] = np.array([np.nan, np.inf, np.nan])[:, None, None, None]
        return samples, path

    turn = iter(range(2))
    monkeypatch.setattr(measure, "generate", broken)
    rows, page = found(run)
    other = {"flow": "calm", "calm": "flow"}[arm]
    assert rows["status"][arm] == "not finite: 3 samples with ddim, 2 steps"
    assert rows["status"][other] == "done"
    for (name, solver, steps, metric), row in by_sampling(rows).items():
        if name != "boom":
            lost = name == arm and steps == 2
            assert (row["value"] is None) == lost and not (lost and metric.startswith("right"))
        # With one step, where all is finite, distances are compared; with two, nothing is.
        if solver and metric == "kernel" and name == "flow":
            assert (row["difference_error"] is None) == (steps == 2)
    assert f"{arm} (not finite: 3 samples with ddim, 2 steps)" in page
    left = {
        "flow": "no arm but the baseline calm has a number",
        "calm": "The baseline calm has no number",
    }
    assert left[arm] in page and other in page


@pytest.mark.usefixtures("one_device")
def test_where_no_sample_is_finite_no_arm_is_measured(
    run: ConfigDict, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*asked: Any) -> Any:
        samples, path = generate.generate(*asked)
        return np.full_like(samples, np.nan), path

    monkeypatch.setattr(measure, "generate", broken)
    rows, page = found(run)
    assert "No arm has a number where arms are judged." in page
    assert all(row["value"] is None for row in rows["table"] if row["solver"])
    assert not any(row["difference_error"] for row in rows["table"] if row["solver"])
    measured = {row["metric"] for row in rows["table"] if row["value"] is not None}
    assert measured == {"noise_error", "bits_per_dim"}
    assert {state for arm, state in rows["status"].items() if arm != "boom"} == {
        "not finite: 4 samples with ddim, 1 steps and 8 samples with ddim, 2 steps"
    }


@pytest.mark.usefixtures("one_device")
@pytest.mark.parametrize(("train", "test", "count"), [(1, 1, 1), (1, 3, 2)])
def test_an_overfit_check_ends_with_a_report(
    tmp_path: Path, run: ConfigDict, train: int, test: int, count: int
) -> None:
    config = run.copy_and_resolve_references()
    config.run_dir = str(tmp_path / "run")
    config.data = f"shapes(size=12, count={train}, test_count={test})"
    config.arms = {"calm": {}, "flow": {"schedule": "rectified_flow"}}
    config.training.steps, config.training.batch_size = 1, 1
    config.sampling.steps = (1,)
    config.sampling.count = config.sampling.judged_count = count
    rows, page = found(config)
    missing = rows["not_measured"]
    assert missing["copies"] == "two different training examples are needed"
    assert "4 samples are needed" in missing["frechet"]
    assert missing["kernel"].startswith("3 ") and "needed" in missing["kernel"]
    assert ("neighbour_ratio" in missing) == (test == 1)
    for name, reason in missing.items():
        assert f"<b>{name}</b>, not measured: {reason}." in page.replace("&#39;", "'")
    values = {key[3]: row["value"] for key, row in by_sampling(rows).items()}
    assert values["exact_match"] is not None and values["bits_per_dim"] is not None
    assert "kernel" not in values
    paired = by_sampling(rows)["flow", "ddim", 1, "exact_match"]["difference_error"]
    assert paired is not None
