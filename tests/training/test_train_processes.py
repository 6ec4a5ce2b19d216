"""`dj.train` in two processes is `dj.train` in one."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


def parameters(*words: str) -> np.ndarray:
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("parameters"))
    return np.array([float(word) for word in line.split()[1:]])


@pytest.mark.parametrize("kept", [False, True], ids=["in memory", "in a run folder"])
def test_two_processes_are_one(tmp_path: Path, kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "")  # one device each
    places = [str(tmp_path / name) if kept else "-" for name in ("one", "two")]
    one = parameters("tests.training.train_ring", places[0])
    two = parameters("launch.local", "--processes=2", "-m", "tests.training.train_ring", places[1])
    assert len(one) == 6 and np.abs(one).max() > 0.1
    np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-6)
