"""Runs every recorded case under a folder."""

import itertools
from collections.abc import Iterator
from pathlib import Path

from diffusion_jax.registry import import_members
from tests.golden import references
from tests.golden.check import Outcome, outcome
from tests.golden.load import Case, read

import_members(references.__name__, references.__path__)


def run(folder: Path, only: str = "") -> Iterator[tuple[str, dict[Case, Outcome]]]:
    """Yields, reference by reference, what came of each of its cases.

    Args:
        folder: has a folder per reference.
        only: runs the cases whose "reference/family/name" starts with it.
    """
    found = [case for case in read(folder) if repr(case).startswith(only)]
    for reference, group in itertools.groupby(found, key=lambda case: case.reference):
        yield reference, {case: outcome(case) for case in group}
