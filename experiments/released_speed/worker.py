"""One library in a process of its own: passes a network, or draws a picture, when it is asked to.

    python -m experiments.released_speed.worker LIBRARY PROBLEM FOLDER END.npy

The model is in FOLDER; the original writes it there. For each line on standard input it answers
with the seconds that one more took; what came of the first stands in END.npy.
"""

import sys
from pathlib import Path

from experiments.peers.worker import answer
from experiments.released_speed.problems import PIPELINE_NAME


def main(library: str, name: str, folder: str, end: str) -> None:
    """Answers every line until standard input ends."""
    if library == "diffusers":
        from experiments.released_speed import original as half

        half.use_all_cores()
    else:
        from experiments.released_speed import ours as half  # type: ignore[no-redef]

    made = half.pipeline if name == PIPELINE_NAME else None
    answer(made(Path(folder)) if made else half.forward(name, Path(folder)), end)


if __name__ == "__main__":
    main(*sys.argv[1:])
