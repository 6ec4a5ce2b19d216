"""Measures a section in a process of its own, within a time."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from experiments.device.section import Done, Failed, NotReached, Outcome, Section

ROOT = Path(__file__).parents[2]
PATIENCE = 5  # times what a section is expected to take, after which it counts as hanging
SHARED = {
    "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".cache/jax"),
    # Nearly all of the device, since nobody else uses it meanwhile.
    "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.92",
}


def measure(section: Section, small: bool, peers: str, seconds: float) -> Outcome:
    """What came of a section.

    Args:
        section: one of `sections`.
        small: the small form.
        peers: a Python that has PyTorch.
        seconds: that are left.
    """
    hanging = PATIENCE * section.seconds
    with tempfile.TemporaryDirectory() as folder:
        answer, log = Path(folder, "answer.json"), Path(folder, "log")
        form = "small" if small else "full"
        words = ["experiments.device.child", section.name, form, peers, str(answer)]
        status = _run(words, log, min(hanging, seconds))
        if answer.exists():
            found = json.loads(answer.read_text(encoding="utf-8"))
            return Done(found["figures"]) if "figures" in found else Failed(found["reason"])
        if status is not None:
            return Failed(f"its process ended with status {status}: {_last(log)}")
    if seconds < hanging:
        return NotReached()
    return Failed(f"still at work after {hanging:.0f} s, and stopped")


def _run(words: list[str], log: Path, seconds: float) -> int | None:
    """The exit status of a module; None if it was stopped after so many seconds."""
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=ROOT,
            env=SHARED | os.environ,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # to be stopped with all processes that it started
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _last(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "nothing said")
