"""The main job, end to end on a tiny budget, and what it refuses before it trains anything."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import quickstart
from diffusion_jax.data.dataset import datasets
from diffusion_jax.data.memory import MemorySource
from diffusion_jax.errors import UserError
from diffusion_jax.sampling.solvers import solvers
from experiments import compare


def tiny(folder: Path) -> ConfigDict:
    config = quickstart.get_config()
    config.run_dir = str(folder)
    config.data = "shapes(size=12, count=64, test_count=32)"
    config.network = "unet(channels=(8,), blocks=1, patch=2, attention=())"
    config.conditioner = "transformer(width=8, layers=1, heads=1)"
    config.training.steps = 2
    config.training.batch_size = 8
    config.sampling.solvers = ("dpmpp_2m", "ddim(eta=1.0)", "dpm_solver_adaptive")
    config.sampling.steps = (2, 3)
    config.sampling.count = 4
    config.sampling.judged_count = 8
    return config


def by_sampling(found: dict[str, Any]) -> dict[tuple[str, str, int, str], dict[str, Any]]:
    """The long table by arm, solver, steps and metric."""
    names = ("arm", "solver", "solver_steps", "metric")
    return {tuple(row[name] for name in names): row for row in found["table"]}  # type: ignore[misc]


@pytest.mark.usefixtures("one_device")
def test_from_a_config_to_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny(tmp_path / "run")
    compare.compare(config)
    page = tmp_path / "run" / "report.html"
    assert capsys.readouterr().out.splitlines()[-1] == str(page)
    text = page.read_text(encoding="utf-8")
    assert all(arm in text for arm in config.arms)
    assert "each of 2 network passes" in text

    found = json.loads((tmp_path / "run" / "results.json").read_text())
    rows = by_sampling(found)
    metrics = {metric for *_, metric in rows}
    # Eight samples are too few for the Fréchet distance.
    held_out = {"noise_error", "bits_per_dim"}
    attributes = {name for name in metrics if name.startswith("right: ")}
    assert metrics == {*config.sampling.metrics, *held_out, *attributes} - {"frechet"}
    assert len(attributes) > 2
    spent = {key[1:3]: row["nfe"] for key, row in rows.items() if key[0] == "edm"}
    assert spent["ddim(eta=1.0)", 3] == 3
    most = solvers.make("dpm_solver_adaptive").evaluations(3)
    assert 3 < spent["dpm_solver_adaptive", 3] < most, "as counted, not as bounded"
    matches = {key[:3]: row for key, row in rows.items() if key[3] == "exact_match"}
    assert len(matches) == len(config.arms) * 3 * 2
    assert {row["count"] for row in matches.values()} == {4, 8}
    assert matches["edm", "dpmpp_2m", 3]["count"] == 8
    for (arm, *_, metric), row in rows.items():
        if metric in held_out:
            assert row["count"] == 32 and row["low"] < row["value"] < row["high"]
        # All that is a mean of samples is held against the baseline sample by sample.
        paired = metric != "neighbour_ratio"
        assert (row["difference_error"] is not None) == paired, (arm, metric)

    # Started again, it trains nothing and finds the same.
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    compare.compare(config)
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before
    again = json.loads((tmp_path / "run" / "results.json").read_text())
    np.testing.assert_equal(again, found)


def test_held_out_pictures_are_restored(tmp_path: Path) -> None:
    config = tiny(tmp_path / "run")
    del config.arms["cosine"], config.arms["edm"]
    config.sampling.solvers, config.sampling.steps = ("ddim",), (2, 4)
    config.sampling.operator, config.sampling.posterior = "half", "repaint(resample=2)"
    config.sampling.metrics = ("exact_match",)
    compare.compare(config)
    found = json.loads((tmp_path / "run" / "results.json").read_text())
    rows = {row["solver_steps"]: row for row in found["table"] if row["metric"] == "psnr"}
    assert {steps: row["nfe"] for steps, row in rows.items()} == {2: 3, 4: 7}
    for row in rows.values():
        # Half of the picture is right, and the rest is what two steps of training have taught.
        assert 5 < row["low"] < row["value"] < row["high"] < 40
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "PSNR, dB" in page and "restores a test example of its own" in page
    assert page.count("<figcaption>seen</figcaption>") == page.count(
        "<figcaption>true</figcaption>"
    )
    assert page.count("<figcaption>seen</figcaption>") == 8


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("solvers", ("ddmi",), "Did you mean 'ddim'"),
        ("solvers", (), "sampling.solvers is empty"),
        ("steps", (0,), "at least 1"),
        ("grid", "karas", "Did you mean 'karras'"),
        ("guidance", "classifier_free(skale=2.0)", "Did you mean 'scale'"),
        ("guidance", "autoguidance", "needs a guide: another arm"),
        ("guidance", "autoguidance(arm=edn)", "Did you mean 'edm'"),
        ("guidance", "autoguidance(step=5)", "the checkpoint of step 5"),
        ("guidance", "perturbed_attention", "network UNet has none"),
        ("threshold", "dynamik", "Did you mean 'dynamic'"),
        ("metrics", ("frechett",), "Did you mean 'frechet'"),
        ("operator", "half", "needs sampling.posterior"),
        ("posterior", "dps", "needs sampling.operator"),
        ("count", 0, "sampling.count must be at least 1"),
        ("judged_count", 10**12, "at most 1,000,000"),
    ],
)
def test_sampling_that_cannot_work_is_refused_before_training(
    tmp_path: Path, field: str, value: object, message: str
) -> None:
    config = tiny(tmp_path / "run")
    config.sampling[field] = value
    with pytest.raises(UserError, match=message):
        compare.compare(config)
    assert not (tmp_path / "run").exists()


def test_a_solver_that_cannot_start_is_refused_before_training(tmp_path: Path) -> None:
    config = tiny(tmp_path / "run")
    config.sampling.solvers = ("edm",)
    config.sampling.grid = "uniform"
    with pytest.raises(UserError, match="alpha = 0"):
        compare.compare(config)
    assert not (tmp_path / "run").exists()


def test_guidance_with_a_memory_is_refused_with_a_solver_that_takes_steps_back(
    tmp_path: Path,
) -> None:
    config = tiny(tmp_path / "run")
    config.sampling.guidance, config.sampling.solvers = "apg", ("ddim", "ode")
    with pytest.raises(UserError, match="solver 'ode' rejects some"):
        compare.compare(config)
    assert not (tmp_path / "run").exists()


def test_a_prediction_that_cannot_start_is_refused_before_training(tmp_path: Path) -> None:
    config = tiny(tmp_path / "run")
    config.arms.flow.prediction = "epsilon"
    config.sampling.grid = "trailing"
    with pytest.raises(UserError, match="prediction Epsilon says nothing of the data"):
        compare.compare(config)
    assert not (tmp_path / "run").exists()


def test_without_a_test_picture_it_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(tmp_path / "run")
    data = datasets.make(config.data)
    empty = dataclasses.replace(data, test=MemorySource(0, lambda: pytest.fail("was read")))
    monkeypatch.setattr(datasets, "make", lambda spec: empty)
    with pytest.raises(UserError, match="has no test pictures; a comparison needs at least one"):
        compare.compare(config)
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("one_device")
def test_networks_trained_for_few_steps_join_the_comparison(tmp_path: Path) -> None:
    config = tiny(tmp_path / "run")
    config.arms = {
        "flow": {"schedule": "rectified_flow"},
        "short": {"fewstep": "shortcut(finest=4)"},
        "map": {"fewstep": "consistency_training()"},
    }
    config.sampling.grid, config.sampling.solvers = "uniform", ("ddim",)
    # A consistency function cannot be sampled like a denoiser.
    with pytest.raises(UserError, match="use the solver 'jump' or 'consistency'"):
        compare.compare(config)
    assert not (tmp_path / "run").exists()

    config.sampling.solvers, config.sampling.steps = ("jump", "consistency"), (1, 2)
    compare.compare(config)
    found = json.loads((tmp_path / "run" / "results.json").read_text())
    spent = {key[:3]: row["nfe"] for key, row in by_sampling(found).items() if key[1]}
    assert len(spent) == 3 * 2 * 2 and all(key[2] == nfe for key, nfe in spent.items())
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "shortcut(finest=4)" in page
