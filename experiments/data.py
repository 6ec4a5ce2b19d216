"""Says what a data set holds: counts, sizes, captions, scripts, duplicates, damaged records.

    python -m experiments.data --config.data="folder(path=photographs, size=64)"
    python -m experiments.data --config.data="web_dataset(path='shards', size=64)" --most=20000

Prints a card, and writes it as a page that opens offline (data_card.html) and as numbers
(data_card.json) to --out. Every picture that is looked at is read and decoded once.
"""

import itertools
import shlex
import sys
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

from absl import flags
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError
from experiments import cli
from experiments.command_line import overridden

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from diffusion_jax.data.dataset import Dataset
    from diffusion_jax.data.example import Example
    from diffusion_jax.data.overview import Overview

OUT = flags.DEFINE_string("out", "data_card", "folder for the card")
MOST = flags.DEFINE_integer(
    "most", 100_000, "examples of each side to look at, evenly spread", lower_bound=2
)
LEARNT_FROM = 20_000  # captions, for the tokenizer


def main(config: ConfigDict) -> None:
    """Prints and writes the card."""
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from diffusion_jax.data.dataset import datasets
    from diffusion_jax.data.overview import look_at
    from diffusion_jax.files import user_path
    from diffusion_jax.reports import data_card

    for field in overridden():
        if field != "data":
            raise UserError(
                f"--config.{field} would change nothing here: only --config.data counts."
            )
    out = user_path(OUT.value)
    data = datasets.make(config.data)
    tokenizer = _tokenizer(data.captions)
    with warnings.catch_warnings(), Progress(console=Console(stderr=True)) as bar:
        warnings.simplefilter("ignore", UserWarning)  # the card says what is damaged
        task = bar.add_task("Looking")
        overview = look_at(
            data,
            MOST.value,
            tokens_of=lambda caption: len(tokenizer.encode(caption).ids),
            report=lambda done, total: bar.update(task, completed=done, total=total),
        )
    table = Table(show_header=False, box=None)
    for what, how in data_card.lines(overview):
        table.add_row(what, how)
    Console().print(table)
    command = shlex.join(["python", "-m", "experiments.data", *sys.argv[1:]])
    paths = data_card.write_card(overview, _shown(data, overview), out, command)
    for path in paths:
        print(f"Wrote {path}.")


def _tokenizer(captions: Iterable[str]) -> "Tokenizer":
    """One that is learned from the first captions."""
    from diffusion_jax.networks.tokenizers import BytePairs
    from diffusion_jax.networks.tokenizers.byte_pairs import opened

    return opened(BytePairs().fit(itertools.islice(captions, LEARNT_FROM)).model)


def _shown(data: "Dataset", overview: "Overview") -> dict[int, "Example"]:
    """The examples of the groups that the page shows."""
    from diffusion_jax.data.overview.look import TEST, TRAIN, spread
    from diffusion_jax.reports.data_card import MEMBERS, groups_to_show

    ends = [
        (name, k)
        for name in (TRAIN, TEST)
        if name in overview.sides
        for k in spread(overview.sides[name].count, MOST.value)
    ]
    sources = {TRAIN: data.train, TEST: data.test}
    wanted = {k for group in groups_to_show(overview) for k in group[:MEMBERS]}
    return {k: sources[ends[k][0]][ends[k][1]] for k in sorted(wanted)}


if __name__ == "__main__":
    cli.run(main)
