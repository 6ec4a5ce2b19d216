"""Runs a command as several JAX processes on this machine, the way a cluster would.

python -m launch.local --processes=2 -m experiments.train --config=configs/quickstart.py

Process 0 keeps the terminal. The output of each other process goes to a file of its own, which
is kept, and named, when something failed; unless all failed alike, and process 0 has said why.
Ctrl-C and SIGTERM reach every process, and all are waited for. When one process fails, the others
are stopped and its exit status is returned. On a machine with GPUs each process takes one.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from diffusion_jax.errors import UserError
from diffusion_jax.files import check_here
from diffusion_jax.streams import keep_writing
from launch.launcher import Job, split_command
from launch.this_machine import Local


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}. Write: python -m launch.local --processes=2 -m MODULE ...")


def main(words: Sequence[str]) -> int:
    """Runs the command line `words`; returns the exit status.

    Raises:
        UserError: the command line cannot be understood.
    """
    parser = _Parser(
        "python -m launch.local",
        description=__doc__,
        usage="%(prog)s [options] -m MODULE [ARGUMENT ...]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--processes", type=int, default=2, help="how many (2)")
    parser.add_argument(
        "--grace",
        type=float,
        default=Local.grace,
        help="seconds the others get to end once one process has failed (%(default)s)",
    )
    options, command = split_command(words)
    settings = parser.parse_args(options)
    return Local(grace=settings.grace).run(Job(command, settings.processes))


if __name__ == "__main__":
    keep_writing()
    try:
        check_here()
        sys.exit(main(sys.argv[1:]))
    except UserError as error:
        sys.exit(" ".join(str(error).split()))
