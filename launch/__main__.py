"""Runs a command somewhere: on this machine as several JAX processes, or wherever a launcher leads.

    python -m launch "local(processes=2)" -- -m experiments.train --config=configs/quickstart.py
    python -m launch "local(processes=2)" --dry-run -- -m experiments.train --config=...

WHERE is a launcher with its settings. --dry-run prints what would be submitted, and does nothing.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from diffusion_jax.describe import describe
from diffusion_jax.errors import UserError
from diffusion_jax.files import check_here
from diffusion_jax.streams import keep_writing
from launch.launchers import Job, launchers

USAGE = "python -m launch WHERE [--dry-run] -- -m MODULE [ARGUMENT ...]"


class LaunchParser(argparse.ArgumentParser):
    """A parser whose complaints are UserErrors.

    Args:
        name: of the command.
        usage: how it is written.
        doc: what its help says first.
        more: what its help says last.
    """

    def __init__(self, name: str, usage: str, doc: str | None, more: str = ""):
        shape = argparse.RawDescriptionHelpFormatter
        super().__init__(name, usage, doc, epilog=more, formatter_class=shape, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}. Write: {self.usage}")


def main(words: Sequence[str]) -> int:
    """Runs the command line `words`; returns the exit status.

    Raises:
        UserError: the command line cannot be understood, or the job not be started.
    """
    own, command = split(words)
    parser = LaunchParser("python -m launch", USAGE, __doc__, places())
    parser.add_argument("where", metavar="WHERE", help="a launcher with its settings, see below")
    parser.add_argument("--dry-run", action="store_true", help="print what would be submitted")
    options = parser.parse_args(own)
    launcher, job = launchers.make(options.where), Job(command)
    if options.dry_run:
        print(launcher.text(job))
        return 0
    try:
        return launcher.submit(job)
    except FileNotFoundError as error:  # the site's tool
        raise UserError(f"{options.where} needs {error.filename!r}, which is not here.") from error


def split(words: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """The words before the first `--`, and the command after it.

    >>> split(["local", "--dry-run", "--", "-m", "experiments.train", "--seed=1"])
    (['local', '--dry-run'], ('-m', 'experiments.train', '--seed=1'))
    """
    end = list(words).index("--") if "--" in words else len(words)
    return list(words[:end]), tuple(words[end + 1 :])


def places() -> str:
    """The launchers that there are, for `--help`."""
    lines = ["WHERE is one of"]
    for each in describe(launchers):
        lines += [f"  {each.name}({each.settings})", f"      {each.summary}"]
    return "\n".join(lines)


def run(words: Callable[[], Sequence[str]]) -> NoReturn:
    """Runs a command line as a program, whose mistakes are one line and exit status 1."""
    keep_writing()
    try:
        check_here()
        sys.exit(main(words()))
    except UserError as error:
        sys.exit(" ".join(str(error).split()))


if __name__ == "__main__":
    run(lambda: sys.argv[1:])
