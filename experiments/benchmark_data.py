"""Times the reading of captioned pictures beside PyTorch's DataLoader with webdataset.

    python -m experiments.benchmark_data --peers=.venv-peers/bin/python
    python -m experiments.benchmark_data --peers=… --rounds=5 --markdown=FILE.md

Both read the same tar files of JPEGs of 512 pixels, decode them, cut and resize them to 64 and to
256 pixels and batch them with two worker processes, in turn: A B A B …, each time in processes of
their own; every round gives a ratio. Both must find the same mean colour. Then the memory is
measured of reading a set and one ten times as large. Takes some minutes on two cores; `make bench`
installs the peers.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from diffusion_jax.errors import UserError
from diffusion_jax.files import check_target, save, user_path
from experiments import plain
from experiments.benchmark_peers import OURS, work, worker
from experiments.data_speed import problem

PEER = "webdataset"
HEADS = ("pictures to", "ours, a second and core", f"{PEER}", "ratio: median", "least", "most", "")
TARGET = 1.0  # the least ratio of pictures a second
COLOUR = 0.01  # difference of mean colours, of a range of 2
TIMES = 10


def main(words: list[str]) -> None:
    """Prints the table, or writes it as Markdown besides."""
    parser = plain.Parser("benchmark_data", __doc__)
    parser.add_argument("--peers", default=sys.executable, help="a Python that has the peers")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed (5)")
    parser.add_argument("--markdown", default="", help="a file to write besides")
    options = parser.parse_args(words)
    if options.rounds < 1:
        raise UserError(f"--rounds must be 1 or more, not {options.rounds}.")
    if options.markdown:
        check_target(options.markdown)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        problem.write(folder)
        rows = [row(folder, size, options) for size in problem.SIZES]
        memory = [peak(folder)]
        problem.write(folder, TIMES * problem.SHARDS)
        memory.append(peak(folder))
    text = markdown(rows, memory)
    print(text)
    if options.markdown:
        print(save(text, options.markdown))


def row(folder: Path, size: int, options: argparse.Namespace) -> tuple[str, ...]:
    """Times both at a size."""
    pythons = {OURS: sys.executable, PEER: str(user_path(options.peers))}
    turns, colours = [], {}
    for _ in range(options.rounds):
        times = []
        for library, python in pythons.items():
            seconds, colours[library] = timed(library, python, folder, size)
            times.append(seconds)
        turns.append(times)
    if np.abs(colours[OURS] - colours[PEER]).max() > COLOUR:
        raise UserError(f"The mean colours differ, {colours}: no comparison.")
    count = problem.SHARDS * problem.PER_SHARD / len(os.sched_getaffinity(0))
    ratios = [theirs / ours for ours, theirs in turns]
    speeds = [count / statistics.median(times) for times in zip(*turns, strict=True)]
    shown = (statistics.median(ratios), min(ratios), max(ratios))
    verdict = "met" if shown[0] >= TARGET else "MISSED"
    return (
        f"{size}×{size}",
        *(f"{speed:.0f}" for speed in speeds),
        *(f"{ratio:.2f}" for ratio in shown),
        f"at least {TARGET:g}: {verdict}",
    )


def timed(library: str, python: str, folder: Path, size: int) -> tuple[float, np.ndarray]:
    """Seconds of reading all pictures once more, and their mean colour.

    The other library's processes are not there: what they read ahead would take from this one.
    """
    words = [library, str(folder), str(size), str(problem.WORKERS)]
    with (
        tempfile.TemporaryDirectory() as ends,
        worker(python, "experiments.data_speed.worker", words, Path(ends)) as process,
    ):
        work(library, process)
        return work(library, process), np.load(Path(ends, f"{library}.npy"))


def peak(folder: Path) -> int:
    """Memory of a process that reads all pictures once."""
    command = [sys.executable, "-m", "experiments.data_speed.memory", str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        raise UserError(f"experiments.data_speed.memory failed: {ran.stderr.strip()[-300:]}")
    return int(ran.stdout)


def markdown(rows: list[tuple[str, ...]], memory: list[int]) -> str:
    """The table, and what memory did."""
    cores = len(os.sched_getaffinity(0))
    count = problem.SHARDS * problem.PER_SHARD
    return (
        f"# Reading captioned pictures\n\n{count:,} JPEGs of {problem.EDGE}×{problem.EDGE} in tar "
        f"files, {problem.WORKERS} worker processes, {cores} cores; ratios are of speeds.\n\n"
        f"{plain.table(HEADS, rows)}\n\nReading {count:,} pictures takes {memory[0] / 1e6:.0f} MB "
        f"at its peak, and {TIMES * count:,} take {memory[1] / 1e6:.0f} MB.\n"
    )


if __name__ == "__main__":
    plain.run(main)
