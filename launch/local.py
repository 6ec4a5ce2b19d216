"""Short for `python -m launch "local(…)" -- …`, with the settings as options.

python -m launch.local --processes=2 -m experiments.train --config=configs/quickstart.py
"""

import sys
from collections.abc import Sequence

from diffusion_jax.registry import settings_of
from launch.__main__ import LaunchParser, run
from launch.launchers import launchers

NAME = "local"


def translated(words: Sequence[str]) -> list[str]:
    """The command line of `launch` that says the same.

    The command starts at the first `-m`, or at the first script (`*.py`).

    >>> translated(["--processes=3", "-m", "experiments.train", "--seed=1"])
    ['local(processes=3)', '--', '-m', 'experiments.train', '--seed=1']

    Raises:
        UserError: an option that is none.
    """
    starts = (i for i, word in enumerate(words) if word == "-m" or word.endswith(".py"))
    start = next(starts, len(words))
    parser = LaunchParser(
        f"python -m launch.{NAME}", f"python -m launch.{NAME} [options] -m MODULE ...", __doc__
    )
    for setting in settings_of(launchers[NAME]):
        parser.add_argument(f"--{setting}")
    parser.add_argument("--dry-run", action="store_true", help="print what would be started")
    options = vars(parser.parse_args(words[:start]))
    dry_run = ["--dry-run"] * options.pop("dry_run")
    given = ", ".join(f"{name}={value}" for name, value in options.items() if value is not None)
    return [f"{NAME}({given})", *dry_run, "--", *words[start:]]


if __name__ == "__main__":
    run(lambda: translated(sys.argv[1:]))
