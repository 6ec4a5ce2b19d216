"""One library in a process of its own: reads pictures when it is asked to.

    python -m experiments.data_speed.worker LIBRARY FOLDER SIZE WORKERS END.npy

For each line on standard input it answers with the seconds that all pictures took.
"""

import sys
from pathlib import Path

from experiments.peers.worker import answer


def main(library: str, folder: str, size: str, workers: str, end: str) -> None:
    """Answers every line until standard input ends."""
    if library == "webdataset":
        from experiments.data_speed.torch_loader import loader
    else:
        from experiments.data_speed.ours import loader
    answer(loader(Path(folder), int(size), int(workers)), end)


if __name__ == "__main__":
    main(*sys.argv[1:])
