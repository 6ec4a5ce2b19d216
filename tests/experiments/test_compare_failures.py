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
from diffusion_jax.reports.failures import baseline
from diffusion_jax.training.trained import load_arms
from experiments import compare
from tests.experiments.test_compare import tiny


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
    assert list(rows["diverged"]) == ["boom"] and rows["diverged"]["boom"] <= 3
    assert rows["baseline"] == "calm"
    step = rows["diverged"]["boom"]
    said = f"Arm boom diverged at step {step} of its training: it was not sampled, and has no"
    assert said in rows["warnings"][0] and said in page
    assert "The baseline is calm in its place." in page
    assert f"<small>diverged at step {step}</small>" in page
    assert page.count("<small>baseline</small>") == 1
    for name in ("results", "quality", "held_out", "paired"):
        assert "boom" not in json.dumps(rows[name]), name
    assert {(pair["arm"], pair["baseline"]) for pair in rows["paired"]} == {("flow", "calm")}

    arms = load_arms(run.run_dir)
    for named, expected in (("flow", "flow"), ("boom", "calm"), ("", "calm")):
        assert baseline(named, arms) == expected
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
    (judged,) = (r for r in rows["results"] if r["arm"] == arm and r["setting"]["steps"] == 2)
    assert judged["not_finite"] == 3 and judged["rate"] is None and judged["distance"] is None
    assert not judged["by_attribute"]
    (other,) = (r for r in rows["results"] if r["arm"] != arm and r["setting"]["steps"] == 2)
    assert other["rate"] and other["distance"] and not other["not_finite"]
    # With one step, where all is finite, rates and distances are compared; with two, nothing is.
    assert [pair["setting"]["steps"] for pair in rows["paired"]] == [1, 1]
    for row in rows["quality"]:
        assert (arm in row["by_arm"]) == (row["metric"] == "bits per dimension")
    assert f"Samples of arm {arm} are not finite, 3 of 8 with ddim, 2 steps" in page
    assert "3 not finite" in page
    left = {
        "flow": "no arm but the baseline calm has a number",
        "calm": "The baseline calm has no number",
    }
    assert left[arm] in page and other["arm"] in page


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
    assert all(row["not_finite"] and row["rate"] is None for row in rows["results"])
    assert not rows["paired"]
    assert [row["metric"] for row in rows["quality"]] == ["bits per dimension"]


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
    assert missing["copies"] == "two different training pictures are needed"
    assert "4 samples are needed" in missing["frechet"]
    assert missing["kernel"].startswith("3 ") and "needed" in missing["kernel"]
    assert ("neighbour_ratio" in missing) == (test == 1)
    for name, reason in missing.items():
        assert f"<b>{name}</b>, not measured: {reason}." in page.replace("&#39;", "'")
    assert {row["metric"] for row in rows["quality"]} >= {"exact_match", "bits per dimension"}
    assert all(row["distance"] is None and row["rate"] for row in rows["results"])
    assert [pair["measure"] for pair in rows["paired"]] == ["rate"]
