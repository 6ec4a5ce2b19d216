"""One library in a process of its own: draws samples or trains each time it is asked to.

    python -m experiments.peers.worker LIBRARY PROBLEM WEIGHTS.npz END.npy

For each line on standard input it draws, or trains for some updates, and answers with the seconds
that took. The samples, or the losses, of the first time stand in END.npy.
"""

import functools
import sys
import time
from collections.abc import Callable

import numpy as np

from experiments.peers import libraries, training
from experiments.peers.problem import PROBLEMS, PeerProblem, batches, start
from experiments.weights import Arrays, load


def main(library: str, name: str, weights: str, end: str) -> None:
    """Answers every line until standard input ends."""
    problem = PROBLEMS[name]
    work = (_training if problem.trains else _drawing)(library, problem, load(weights))
    answer(work, end)


def answer(work: Callable[[], np.ndarray], end: str) -> None:
    """Works once for every line, until standard input ends; the first result is kept in `end`."""
    for count, _ in enumerate(sys.stdin):
        before = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - before
        if count == 0:
            np.save(end, result)
        print(seconds, flush=True)


def _drawing(library: str, problem: PeerProblem, weights: Arrays) -> Callable[[], np.ndarray]:
    return functools.partial(libraries.LIBRARIES[library](problem, weights), start(problem))


def _training(library: str, problem: PeerProblem, weights: Arrays) -> Callable[[], np.ndarray]:
    return functools.partial(training.LIBRARIES[library](problem, weights), batches(problem))


if __name__ == "__main__":
    main(*sys.argv[1:])
