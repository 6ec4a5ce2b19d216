"""Times sampling beside diffusers and k-diffusion, and training beside PyTorch.

    python -m experiments.benchmark_peers --peers=.venv-peers/bin/python

All are given the same network, weights and machine; to sample, the same steps and start; to train,
the same pictures, noise, times and Adam. Each library runs in a process of its own; they work in
turn, A B C A B C …, and every pair of times of one round gives a ratio. The first time, in which
programs are compiled, is reported separately. The libraries must end on the same samples, or have
the same losses over the first updates, or nothing is timed. `make bench` installs the peers.
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
from typing import Any, cast

from diffusion_jax.errors import UserError
from diffusion_jax.files import user_path
from experiments import plain
from experiments.peers.problem import PROBLEMS, STEPS, UPDATES, PeerProblem

OURS, WORKER = "diffusion_jax", "experiments.peers.worker"
PEERS, TRAINERS = ("diffusers", "k-diffusion"), ("PyTorch",)
TOLERANCE = 2e-3  # of samples of unit size, in single precision
LOSS_TOLERANCE = 1e-4  # of a loss, in single precision, after some updates


@dataclasses.dataclass(frozen=True)
class LibraryTiming:
    """Seconds of one library: of the first draw or updates, and of each round after them."""

    library: str
    first: float
    rounds: tuple[float, ...]


def main(words: list[str]) -> None:
    """Prints a table for each problem."""
    parser = plain.Parser("benchmark_peers", __doc__)
    parser.add_argument("--peers", default=sys.executable, help="a Python that has the peers")
    parser.add_argument("--rounds", type=int, default=5, help="how often each library is timed (5)")
    parser.add_argument("--problem", choices=sorted(PROBLEMS), help="only this one")
    options = parser.parse_args(words)
    for name, problem in PROBLEMS.items():
        if options.problem in (None, name):
            _print(problem, measure(name, options.peers, options.rounds))


def measure(name: str, peers: str, rounds: int) -> list[LibraryTiming]:
    """Times every library on a problem.

    Raises:
        UserError: a library cannot be run, or they do not end on the same samples or losses.
    """
    import numpy as np

    from experiments.peers.problem import weights
    from experiments.weights import save

    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        problem = PROBLEMS[name]
        save(weights(problem), Path(folder, "weights.npz"))
        others = TRAINERS if problem.trains else PEERS
        pythons = {OURS: sys.executable} | dict.fromkeys(others, str(user_path(peers)))
        workers = {
            library: stack.enter_context(
                worker(python, WORKER, [library, name, f"{folder}/weights.npz"], Path(folder))
            )
            for library, python in pythons.items()
        }
        first = {library: work(library, each) for library, each in workers.items()}
        check = _check_losses if problem.trains else _check_ends
        check([np.load(Path(folder, f"{library}.npy")) for library in workers])
        turns = [
            {library: work(library, each) for library, each in workers.items()}
            for _ in range(rounds)
        ]
    return [
        LibraryTiming(library, first[library], tuple(turn[library] for turn in turns))
        for library in workers
    ]


@contextlib.contextmanager
def worker(
    python: str, module: str, words: Sequence[str], folder: Path
) -> Iterator[subprocess.Popen[str]]:
    """While entered, a process that works once for each line it is sent.

    Args:
        python: that runs it.
        module: its main, which answers as `peers.worker` does.
        words: of its command line, the library first; the file of the first result is added.
        folder: for that file, LIBRARY.npy, and for what it prints besides, LIBRARY.log.
    """
    end = str(folder / f"{words[0]}.npy")
    with open(_log(end), "w") as log:
        process = subprocess.Popen(
            [python, "-m", module, *words, end],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"},
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _log(end: str) -> str:
    return str(Path(end).with_suffix(".log"))


def work(library: str, worker: "subprocess.Popen[str]") -> float:
    """Lets a worker draw once, or train for some updates; returns the seconds it took."""
    assert worker.stdin is not None and worker.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        worker.stdin.write("\n")
        worker.stdin.flush()
    line = worker.stdout.readline()
    if not line:
        said = Path(_log(cast(list[str], worker.args)[-1])).read_text().strip()
        raise UserError(
            f"{library} does not run in this environment: make bench installs the peers and names "
            f"their Python with --peers (exit status {worker.wait()}): "
            f"{(said.splitlines() or ['it said nothing'])[-1]}"
        )
    return float(line)


def _check_ends(ends: Sequence[Any]) -> None:
    import numpy as np

    size = float(np.std(ends[0]))
    for library, end in zip(PEERS, ends[1:], strict=True):
        off = float(np.max(np.abs(end - ends[0]))) / size
        if not off < TOLERANCE:
            raise UserError(f"{library} ends {off:.2g} standard deviations away: no comparison.")


def _check_losses(losses: Sequence[Any]) -> None:
    import numpy as np

    for library, own in zip(TRAINERS, losses[1:], strict=True):
        off = float(np.max(np.abs(own / losses[0] - 1)))
        if not off < LOSS_TOLERANCE:
            raise UserError(f"{library}'s losses are {off:.2g} of them away: no comparison.")


def _print(problem: PeerProblem, timings: list[LibraryTiming]) -> None:
    from rich.console import Console
    from rich.table import Table

    title = f"{problem.means}: {problem.network}, {problem.batch} at once, "
    if problem.trains:
        title += "a training step with Adam"
        heads, per_unit = (f"first {UPDATES} steps, s", "ms a step"), 1000 / UPDATES
    else:
        title += f"{STEPS} steps"
        heads, per_unit = ("first draw, s", "ms a sample"), 1000 / problem.batch
    ratios_of = ("times ours: median", "least", "most")
    table = Table("library", *heads, *ratios_of, title=title, title_justify="left")
    for timing in timings:
        ratios = [a / b for a, b in zip(timing.rounds, timings[0].rounds, strict=True)]
        table.add_row(
            timing.library,
            f"{timing.first:.2f}",
            f"{statistics.median(timing.rounds) * per_unit:.3g}",
            *(f"{choose(ratios):.2f}" for choose in (statistics.median, min, max)),
        )
    Console().print(table)


if __name__ == "__main__":
    plain.run(main)
