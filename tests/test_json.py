"""What is written as JSON can be read by every reader of JSON."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from diffusion_jax.runs.metrics_log import MetricsLog, read_metrics
from diffusion_jax.strict_json import to_json
from diffusion_jax.sweeps import outcomes
from diffusion_jax.sweeps.outcomes import Number, Outcome


def strictly(text: str) -> object:
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"bare {name}"))


def test_numbers_that_are_none_are_null() -> None:
    content = {
        "plain": math.inf,
        "of numpy": np.float32(np.nan),
        "array": np.array([[1.0, -np.inf]]),
        "within": ({"deep": [math.nan, 2]}, "nan", None, True),
    }
    assert strictly(to_json(content, indent=2)) == {
        "plain": None,
        "of numpy": None,
        "array": [[1.0, None]],
        "within": [{"deep": [None, 2]}, "nan", None, True],
    }


def test_an_outcome_without_a_number_is_read_as_it_was(tmp_path: Path) -> None:
    row = Number(math.nan, count=8, solver="ddim", steps=4, nfe=4.0, metric="kernel")
    outcomes.store(Outcome(None, (row,), not_finite={"ddim, 4": 3}), tmp_path, "key")
    outcomes.add_to_curve(tmp_path, 5, {"a": math.inf})
    for path in (*tmp_path.rglob("*.json"), *tmp_path.rglob("*.jsonl")):
        for text in (
            path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        ):
            strictly(text)
    found = outcomes.load(tmp_path, "key")
    assert found is not None and math.isnan(found.numbers[0].value)
    assert found.not_finite == {"ddim, 4": 3}
    assert np.isnan(outcomes.curve(tmp_path, "a").loss).tolist() == [True]


def test_training_logs_are_strict(tmp_path: Path) -> None:
    with MetricsLog(tmp_path, every=1, last=2, start=0) as log:
        log.record(1, {"a": {"loss": 1.0, "grad_norm": math.inf}})
    strictly((tmp_path / "metrics.jsonl").read_text())
    curve = read_metrics(tmp_path)["a"]
    assert curve["loss"] == [1.0] and math.isnan(curve["grad_norm"][0])
