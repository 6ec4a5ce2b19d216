"""The cache of compiled programs: a training's first start against its second.

    python -m experiments.device.start PROBLEM small|full

makes one training step and ends.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from diffusion_jax.errors import UserError
from experiments.device.section import Figures

ROOT = Path(__file__).parents[2]


def measure(name: str, small: bool) -> Figures:
    """Seconds from starting Python to the end of the first step, with an empty cache and a full."""
    with tempfile.TemporaryDirectory() as folder:
        first, second = (_start(name, small, folder) for _ in range(2))
    return {"problem": name, "first": first, "second": second, "share": second / first}


def _start(name: str, small: bool, cache: str) -> float:
    keep = {
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    words = [sys.executable, "-m", "experiments.device.start", name, "small" if small else "full"]
    begun = time.perf_counter()
    done = subprocess.run(
        words, cwd=ROOT, env=os.environ | keep, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip() or "nothing said").splitlines()[-1]
        raise UserError(f"A training does not start: {last}")
    return time.perf_counter() - begun


def main(name: str, form: str) -> None:
    """Makes one training step."""
    import jax

    from experiments.device import library
    from experiments.device.problems import problem

    chosen, batch = problem(name, form == "small"), 4 if form == "small" else 64
    training, hyper = library.training(chosen, "float32", (), batch), library.hyper(batch)
    state = library.first_state(library.first_weights(training.network, chosen.shape), hyper)
    jax.block_until_ready(jax.jit(training.step)(state, hyper, training.inputs(0)))


if __name__ == "__main__":
    main(*sys.argv[1:])
