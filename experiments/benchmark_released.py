"""Times released models beside diffusers on this machine's CPU: passes, a picture, reading.

    python -m experiments.benchmark_released --peers=.venv-peers/bin/python
    python -m experiments.benchmark_released --peers=… --problem=dit --rounds=5
    python -m experiments.benchmark_released --peers=… --markdown=FILE.md

diffusers builds each model with random weights and saves it, and this library reads it from there.
They work in turn, A B A B …, each in a process of its own with all cores and float32; every round
gives a ratio. The first time, in which programs are compiled, is reported apart. Both must give the
same, or nothing is timed. Takes some ten minutes on two cores; `make bench` installs the peers.
"""

import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from diffusion_jax.errors import UserError
from diffusion_jax.files import check_target, save, user_path
from experiments import plain
from experiments.benchmark_peers import OURS, LibraryTiming, work, worker
from experiments.released_speed import problems

ORIGINAL = "diffusers"
TOLERANCE = {"pipeline": 1e-2}  # of the largest value; of a pass 1e-4
PIPELINE, LOAD = problems.PIPELINE_NAME, "load"
MEMORY = 1.1  # the most that reading may take, in times of the weights
HEADS = ("model", "ours, s", "diffusers, s", "ratio: median", "least", "most", "target", "first, s")


@dataclasses.dataclass(frozen=True)
class ReadingCost:
    """What reading the pipeline's folder takes.

    Attributes:
        weights: bytes of its files.
        memory: peak of a process that reads it over that of one that imports JAX alone.
        first, second: seconds of `experiments.sample` from start to picture, with an empty cache of
            compiled programs and again.
    """

    weights: int
    memory: int
    first: float
    second: float

    @property
    def share(self) -> float:
        """Memory in times of the weights."""
        return self.memory / self.weights


def main(words: list[str]) -> None:
    """Prints the tables, or writes them as Markdown besides."""
    parser = plain.Parser("benchmark_released", __doc__)
    parser.add_argument("--peers", default=sys.executable, help="a Python that has the peers")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is timed (3)")
    known = [*problems.FORWARD, PIPELINE, LOAD]
    parser.add_argument("--problem", choices=known, help="only this one")
    parser.add_argument("--markdown", default="", help="a file to write besides")
    options = parser.parse_args(words)
    if options.rounds < 1:
        raise UserError(f"--rounds must be 1 or more, not {options.rounds}.")
    if options.markdown:
        check_target(options.markdown)
    peers, rows, cost = str(user_path(options.peers)), [], None
    chosen = {None: [*problems.FORWARD, PIPELINE], LOAD: [PIPELINE]}
    for name in chosen.get(options.problem, [options.problem]):
        with tempfile.TemporaryDirectory() as folder:
            rounds = 0 if options.problem == LOAD else options.rounds
            timings = measure(name, peers, rounds, Path(folder))
            if rounds:
                rows.append(cells(name, *timings))
                print(" | ".join(rows[-1]), flush=True)
            if name == PIPELINE and options.problem in (None, LOAD):
                cost = reading(Path(folder, "model"))
    text = markdown(rows, cost)
    print(text)
    if options.markdown:
        print(save(text, options.markdown))


def measure(
    name: str, peers: str, rounds: int, folder: Path
) -> tuple[LibraryTiming, LibraryTiming]:
    """Times ours and the original on a problem.

    Raises:
        UserError: a library cannot be run, or they do not give the same.
    """
    module, words = "experiments.released_speed.worker", [name, str(folder / "model")]
    with worker(peers, module, [ORIGINAL, *words], folder) as theirs:
        first = {ORIGINAL: work(ORIGINAL, theirs)}  # which has written the model by then
        with worker(sys.executable, module, [OURS, *words], folder) as own:
            first[OURS] = work(OURS, own)
            check_same(name, folder)
            turns = [(work(OURS, own), work(ORIGINAL, theirs)) for _ in range(rounds)]
    timings = [
        LibraryTiming(library, first[library], tuple(turn[i] for turn in turns))
        for i, library in enumerate((OURS, ORIGINAL))
    ]
    return timings[0], timings[1]


def check_same(name: str, folder: Path) -> None:
    """Raises UserError unless both libraries have given the same."""
    import numpy as np

    wanted, found = (np.load(folder / f"{each}.npy") for each in (ORIGINAL, OURS))
    off = float(np.abs(found - wanted).max() / np.abs(wanted).max())
    if not off < TOLERANCE.get(name, 1e-4):
        raise UserError(f"{name}: {OURS} gives {off:.2g} of the largest value else: no comparison.")


def cells(name: str, ours: LibraryTiming, theirs: LibraryTiming) -> tuple[str, ...]:
    """A row of the table."""
    if name == PIPELINE:
        means, most = problems.PIPELINE_MEANS, problems.U_NET
    else:
        means, most = problems.FORWARD[name].means, problems.FORWARD[name].most
    ratios = [a / b for a, b in zip(ours.rounds, theirs.rounds, strict=True)]
    chosen = (statistics.median(ratios), min(ratios), max(ratios))
    verdict = "met" if chosen[0] <= most else "MISSED"
    seconds = [f"{statistics.median(each.rounds):.2f}" for each in (ours, theirs)]
    return (
        means,
        *seconds,
        *(f"{ratio:.2f}" for ratio in chosen),
        f"{most:g}: {verdict}",
        f"{ours.first:.1f}",
    )


def reading(folder: Path) -> ReadingCost:
    """Measures what reading a folder takes, and the start of a first and a second process."""
    weights = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    module = [sys.executable, "-m", "experiments.released_speed.load"]
    idle, peak = (int(_said([*module, *more])) for more in ([], [str(folder)]))
    with tempfile.TemporaryDirectory() as place:
        environment = {"JAX_COMPILATION_CACHE_DIR": f"{place}/cache"}
        command = [sys.executable, "-m", "experiments.sample", f"--model={folder}", "--steps=2"]
        command += [f"--prompt={problems.PROMPT}", "--size=64x64", f"--out={place}/pictures"]
        times = []
        for _ in range(2):
            start = time.perf_counter()
            _said(command, environment)
            times.append(time.perf_counter() - start)
    return ReadingCost(weights, peak - idle, times[0], times[1])


def _said(command: Sequence[str], environment: dict[str, str] | None = None) -> str:
    ran = subprocess.run(
        command, env=os.environ | (environment or {}), capture_output=True, text=True
    )
    if ran.returncode:
        raise UserError(f"{' '.join(command[1:4])} failed: {ran.stderr.strip()[-300:]}")
    return ran.stdout


def markdown(rows: Sequence[tuple[str, ...]], cost: ReadingCost | None) -> str:
    """The tables as a page."""
    cores = len(os.sched_getaffinity(0))
    parts = [f"# Released models beside diffusers\n\nFloat32 on {cores} cores, both libraries.\n"]
    if rows:
        lines = [HEADS, ("---",) * len(HEADS), *rows]
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n")
    if cost is not None:
        verdict = "met" if cost.share <= MEMORY else "MISSED"
        parts.append(
            f"Reading {cost.weights / 1e9:.2f} GB of weights takes {cost.share:.3f} times their "
            f"memory at its peak (target {MEMORY:g}: {verdict}). From starting Python to a picture "
            f"of two steps: {cost.first:.1f} s in the first process, {cost.second:.1f} s in a "
            "second, which finds the compiled programs.\n"
        )
    return "\n".join(parts)


if __name__ == "__main__":
    plain.run(main)
