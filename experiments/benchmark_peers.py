"""Times sampling beside diffusers and k-diffusion: same network, weights, steps, start, machine.

    python -m experiments.benchmark_peers --peers=.venv-peers/bin/python

Each library runs in a process of its own; they draw in turn, A B C A B C …, and every pair of
times of one round gives a ratio. The first draw, in which programs are compiled, is told apart. The
libraries must end on the same samples, or nothing is timed. `make bench` installs the peers.
"""

import contextlib
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from diffusion_jax.errors import UserError
from diffusion_jax.files import user_path
from experiments import plain
from experiments.peers.problem import PROBLEMS, STEPS, Problem

OURS, *PEERS = ("diffusion_jax", "diffusers", "k-diffusion")
TOLERANCE = 2e-3  # of samples of unit size, in single precision


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of one library: of the first draw, and of each round after it."""

    library: str
    first: float
    rounds: tuple[float, ...]


def main(words: list[str]) -> None:
    """Prints a table for each problem."""
    parser = plain.Parser("benchmark_peers", __doc__)
    parser.add_argument("--peers", default=sys.executable, help="a Python that has the peers")
    parser.add_argument("--rounds", type=int, default=5, help="how often each library draws (5)")
    parser.add_argument("--problem", choices=sorted(PROBLEMS), help="only this one")
    options = parser.parse_args(words)
    for name, problem in PROBLEMS.items():
        if options.problem in (None, name):
            _print(problem, measure(name, options.peers, options.rounds))


def measure(name: str, peers: str, rounds: int) -> list[Timing]:
    """Times every library on a problem.

    Raises:
        UserError: a library cannot be run, or they do not end on the same samples.
    """
    import numpy as np

    from experiments.peers.problem import save, weights

    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        save(weights(PROBLEMS[name]), Path(folder, "weights.npz"))
        pythons = {OURS: sys.executable} | dict.fromkeys(PEERS, str(user_path(peers)))
        workers = {
            library: stack.enter_context(_worker(python, library, name, Path(folder)))
            for library, python in pythons.items()
        }
        first = {library: _draw(library, worker) for library, worker in workers.items()}
        _check_ends([np.load(Path(folder, f"{library}.npy")) for library in workers])
        turns = [
            {library: _draw(library, worker) for library, worker in workers.items()}
            for _ in range(rounds)
        ]
    return [
        Timing(library, first[library], tuple(turn[library] for turn in turns))
        for library in workers
    ]


@contextlib.contextmanager
def _worker(python: str, library: str, name: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    words = [library, name, str(folder / "weights.npz"), str(folder / f"{library}.npy")]
    with (folder / f"{library}.log").open("w") as log:
        worker = subprocess.Popen(
            [python, "-m", "experiments.peers.worker", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"},
        )
    try:
        yield worker
    finally:
        worker.kill()
        worker.wait()


def _draw(library: str, worker: "subprocess.Popen[str]") -> float:
    """Lets a worker draw once; returns the seconds it took."""
    assert worker.stdin is not None and worker.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        worker.stdin.write("\n")
        worker.stdin.flush()
    line = worker.stdout.readline()
    if not line:
        raise UserError(
            f"{library} does not run in this environment: make bench installs the peers and names "
            f"their Python with --peers (exit status {worker.wait()})."
        )
    return float(line)


def _check_ends(ends: Sequence[Any]) -> None:
    import numpy as np

    size = float(np.std(ends[0]))
    for library, end in zip(PEERS, ends[1:], strict=True):
        off = float(np.max(np.abs(end - ends[0]))) / size
        if not off < TOLERANCE:
            raise UserError(f"{library} ends {off:.2g} standard deviations away: no comparison.")


def _print(problem: Problem, timings: list[Timing]) -> None:
    from rich.console import Console
    from rich.table import Table

    per_sample = 1000 / problem.batch
    title = f"{problem.means}: {problem.network}, {problem.batch} at once, {STEPS} steps"
    heads = ("library", "first draw, s", "ms a sample", "times ours: median", "least", "most")
    table = Table(*heads, title=title, title_justify="left")
    for timing in timings:
        ratios = [a / b for a, b in zip(timing.rounds, timings[0].rounds, strict=True)]
        table.add_row(
            timing.library,
            f"{timing.first:.2f}",
            f"{statistics.median(timing.rounds) * per_sample:.3g}",
            *(f"{choose(ratios):.2f}" for choose in (statistics.median, min, max)),
        )
    Console().print(table)


if __name__ == "__main__":
    plain.run(main)
