"""Metrics on disk: means, and a file that does not show where a run was cut off."""

import json
from pathlib import Path

import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.runs.metrics_log import FILE, MetricsLog, Values, read_metrics


def values(step: int) -> Values:
    return {
        arm: {"loss": step * scale, "grad_norm": 0.5} for arm, scale in (("a", 1.0), ("b", 2.0))
    }


def log_steps(folder: Path, start: int, stop: int, pending: list[Values]) -> list[Values]:
    with MetricsLog(folder, every=4, last=10, start=start, pending=pending) as log:
        for step in range(start + 1, stop + 1):
            log.record(step, values(step))
        return list(log.pending)


def test_rows_are_means_over_the_steps_since_the_last_row(tmp_path: Path) -> None:
    log_steps(tmp_path, 0, 10, [])
    assert read_metrics(tmp_path) == {
        "a": {"step": [4, 8, 10], "loss": [2.5, 6.5, 9.5], "grad_norm": [0.5] * 3},
        "b": {"step": [4, 8, 10], "loss": [5.0, 13.0, 19.0], "grad_norm": [0.5] * 3},
    }


@pytest.mark.parametrize("saved", [1, 4, 6, 8, 9])
def test_a_resumed_log_is_that_of_an_uninterrupted_run(tmp_path: Path, saved: int) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    log_steps(whole, 0, 10, [])
    pending = json.loads(json.dumps(log_steps(cut, 0, saved, [])))
    # The run went on after its checkpoint, and was cut off in the middle of a row.
    log_steps(cut, saved, 10, pending.copy())
    with open(cut / FILE, "a") as file:
        file.write('{"step": 12, "ar')
    log_steps(cut, saved, 10, pending)
    assert (cut / FILE).read_bytes() == (whole / FILE).read_bytes()


def test_tensorboard_shows_the_same_numbers(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log_steps(tmp_path, 0, 10, [])
    events = EventAccumulator(str(tmp_path / "tensorboard" / "b"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(4, 5.0), (8, 13.0), (10, 19.0)]


def test_nothing_logged_is_no_curve(tmp_path: Path) -> None:
    assert read_metrics(tmp_path) == {}


@pytest.mark.parametrize("content", [b"{bad\n", b"\xff\xfe\n", b"3\n", b'{"step": 1}\n'])
def test_damaged_rows_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(UserError, match=f"{FILE} is damaged: delete it to go on"):
        read_metrics(tmp_path)
    with pytest.raises(UserError, match=f"{FILE} is damaged"):
        MetricsLog(tmp_path, every=4, last=10, start=4)
