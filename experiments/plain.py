"""What commands share that need no config: options, and mistakes answered in one line."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

from diffusion_jax.errors import UserError
from diffusion_jax.files import check_here
from diffusion_jax.streams import keep_writing


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are UserErrors; its help begins with the module's docstring."""

    def __init__(self, name: str, doc: str | None):
        super().__init__(
            f"python -m experiments.{name}",
            description=doc,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message[:1].upper()}{message[1:]}. See --help.")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""A Markdown table.

    >>> table(("a", "b"), [("1", "x|y")])
    '| a | b |\n| --- | --- |\n| 1 | x\\|y |'
    """
    lines = (heads, ("---",) * len(heads), *rows)
    escaped = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def run(main: Callable[[list[str]], None]) -> None:
    """Runs a command on the words of the command line; a mistake ends it with status 1."""
    keep_writing()
    try:
        check_here()
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(" ".join(str(error).split()))
