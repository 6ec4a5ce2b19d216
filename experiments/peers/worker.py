"""One library in a process of its own: draws the samples each time it is told to.

    python -m experiments.peers.worker LIBRARY PROBLEM WEIGHTS.npz END.npy

For each line on standard input it draws once, and answers with the seconds that took. What it
ended on stands in END.npy after the first.
"""

import sys
import time

import numpy as np

from experiments.peers.libraries import LIBRARIES
from experiments.peers.problem import PROBLEMS, load, start


def main(library: str, name: str, weights: str, end: str) -> None:
    """Answers every line until standard input ends."""
    problem = PROBLEMS[name]
    draw, noise = LIBRARIES[library](problem, load(weights)), start(problem)
    for count, _ in enumerate(sys.stdin):
        before = time.perf_counter()
        samples = draw(noise)
        seconds = time.perf_counter() - before
        if count == 0:
            np.save(end, samples)
        print(seconds, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
