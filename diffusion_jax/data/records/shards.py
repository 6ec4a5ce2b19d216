"""The files of a data set that is in several."""

import glob
import hashlib
import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from diffusion_jax.errors import UserError
from diffusion_jax.files import user_path

RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
MOST = 10**6


def shards_of(path: str, ending: str, owner: str) -> tuple[Path, ...]:
    """The files that a path names: one, those of a folder, or several.

    Args:
        path: of a file, of a folder, or a pattern: "a/{000..123}.tar", "a/*.tar".
        ending: pattern of the files of a folder, such as "*.tar".
        owner: data set, for messages.

    Raises:
        UserError: there is none, or one of a range is missing.
    """
    names = _ranged(str(user_path(path)), owner)
    found: list[Path] = []
    for name in names:
        if Path(name).is_dir():
            found += sorted(Path(name).glob(ending))
        elif Path(name).exists() or len(names) > 1:
            found.append(Path(name))
        else:
            found += sorted(map(Path, glob.glob(name)))
    if not found:
        raise UserError(f"Data set {owner!r}: there is no file {ending} at {path}.")
    if missing := [shard for shard in found if not shard.is_file()]:
        raise UserError(f"Data set {owner!r}: there is no file {missing[0]}.")
    return tuple(found)


def _ranged(text: str, owner: str) -> list[str]:
    """A text for every number of each range {low..high}."""
    parts = RANGE.split(text)
    ranges, count = [], 1
    for low, high in zip(parts[1::3], parts[2::3], strict=True):
        count *= max(int(high) - int(low) + 1, 0)
        if not 0 < count <= MOST:
            raise UserError(f"Data set {owner!r}: {{{low}..{high}}} is no range of files.")
        ranges.append([f"{k:0{len(low)}d}" for k in range(int(low), int(high) + 1)])
    return [
        "".join(itertools.chain.from_iterable(zip(parts[::3], (*each, ""), strict=True)))
        for each in itertools.product(*ranges)
    ]


def named(files: Sequence[Path]) -> str:
    """The first of some files, and how many more there are.

    >>> named([Path("a"), Path("b"), Path("c")])
    'a and 2 more'
    """
    return f"{files[0]}{f' and {len(files) - 1} more' if len(files) > 1 else ''}"


def digest_of(files: Sequence[Path], settings: object) -> str:
    """A digest of files' names and sizes, and of how they are read."""
    facts = [(file.name, file.stat().st_size) for file in files], settings
    return hashlib.sha256(repr(facts).encode()).hexdigest()
