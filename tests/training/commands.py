"""The train command as a process of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEVICES = r"--xla_force_host_platform_device_count=\d+"
TRAIN = ("-m", "tests.training.train_points")


def start(*words: str) -> subprocess.Popen[str]:
    """Starts `python words...` on one device, its output kept apart."""
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": re.sub(DEVICES, "", os.environ["XLA_FLAGS"])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Waits for a process; returns exit status, stdout and stderr."""
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def run(*words: str) -> tuple[int, str, str]:
    """Runs `python words...` to its end."""
    return finish(start(*words))
