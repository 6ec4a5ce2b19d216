"""Training processes that are really killed, really stopped, and really several."""

import random
import signal
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from diffusion_jax.runs.metrics_log import FILE
from diffusion_jax.training.loop import train
from diffusion_jax.training.trained import load_arms
from tests.training import points
from tests.training.commands import TRAIN, finish, run, start

__all__ = ["points"]

LONG = ("--config.conditioner=none", "--config.training.steps=120")
OFTEN = ("--config.training.checkpoint_every=6", "--config.training.log_every=7")


def parameters(folder: Path) -> list[np.ndarray]:
    arms = load_arms(folder)
    return [
        np.asarray(leaf) for name in sorted(arms) for leaf in jax.tree.leaves(arms[name].params)
    ]


def interrupt(folder: Path, signum: int) -> tuple[int, str, str]:
    """Continues the run, and sends a signal a moment after it has made some progress."""
    before = (folder / FILE).read_bytes() if (folder / FILE).exists() else b""
    process = start(*TRAIN, *LONG, *OFTEN, f"--config.run_dir={folder}")
    deadline = time.monotonic() + 200
    while not (folder / FILE).exists() or len((folder / FILE).read_bytes()) <= len(before):
        assert process.poll() is None and time.monotonic() < deadline, finish(process)[2]
        time.sleep(0.02)
    time.sleep(random.uniform(0, 0.5))
    process.send_signal(signum)
    return finish(process)


def test_killed_and_stopped_at_random_moments_a_run_ends_with_the_same_bits(
    tmp_path: Path,
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert run(*TRAIN, *LONG, *OFTEN, f"--config.run_dir={whole}")[0] == 0
    for signum in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
        status, _, err = interrupt(cut, signum)
        assert status == (143 if signum == signal.SIGTERM else -signum), err
    last = err.strip().splitlines()[-1]
    assert last.startswith("Stopped after step") and "Traceback" not in err
    status, out, _ = run(*TRAIN, *LONG, *OFTEN, f"--config.run_dir={cut}")
    assert status == 0 and out.strip().endswith(f"120 steps: {cut}")

    for one, two in zip(parameters(cut), parameters(whole), strict=True):
        np.testing.assert_array_equal(one, two)
    assert (cut / FILE).read_bytes() == (whole / FILE).read_bytes()
    left = sorted(path.name for path in (cut / "checkpoints").iterdir())
    assert left == ["114", "120"]


@pytest.mark.usefixtures("one_device")
def test_two_processes_are_one(config: ConfigDict, tmp_path: Path) -> None:
    config.conditioner = "transformer(width=8, layers=1, heads=1)"
    config.training.steps = 5
    one, two = train(config).folder, tmp_path / "two"
    words = (*TRAIN, "--config.training.steps=5", f"--config.run_dir={two}")
    status, out, err = run("-m", "launch.local", "--processes=2", *words)
    assert status == 0, err
    assert out.count("Trained") == 1
    for mine, theirs in zip(parameters(one), parameters(two), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)
