"""A data set of records: which are for testing, how pictures are cut, what damage is borne."""

import dataclasses
import hashlib
import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.pictures import MODES
from diffusion_jax.data.records.damage import Damage
from diffusion_jax.data.records.record import Records
from diffusion_jax.data.records.source import CENTER, RANDOM, RecordSource
from diffusion_jax.errors import UserError, one_of

LARGEST = 4096
KEPT = 2**30  # bytes of pictures, unless asked for otherwise
PROMPTS = 64  # captions that are given as prompts


def captioned(
    name: str,
    records: Records,
    size: int | tuple[int, int],
    channels: int = 3,
    held_out: float = 0.1,
    crop: str = CENTER,
    damaged: float = 0.01,
    test: Records | None = None,
    class_names: tuple[str, ...] = (),
    memory: bool | None = None,
) -> Dataset:
    """The data set that captioned records are.

    A record is for testing if a number in [0, 1) that is made of its key's SHA-256 lies below the
    share held out. So records can be added without moving others, but for those of the least and
    the greatest number, which are for testing and for training.

    Args:
        name: of the data set.
        records: to train on; without `test`, some are held out.
        size: height and width, or one number for both.
        channels: 3, or 1 for grey; 4 or 2 for the same with opacity.
        held_out: share for testing, between 0 and 1.
        crop: where training cuts what is too long for the shape: "center" or "random". What is
            held out, and what measures look at, is cut in the middle.
        damaged: share of the records that may be damaged before a run ends.
        test: the records to test with, where the set has some of its own; then none is held out.
        class_names: of the labels.
        memory: keep decoded pictures, height × width × channels bytes each; None keeps what takes
            at most 1 GiB. Those that are cut at random are never kept.

    Raises:
        UserError: a setting is wrong, or one side has no records.
    """
    edges = (size, size) if isinstance(size, int) else tuple(size)
    if channels not in MODES or len(edges) != 2 or not 1 <= min(edges) <= max(edges) <= LARGEST:
        raise UserError(
            f"Data set {name!r}: size={size}, channels={channels}; give a size from 1 to "
            f"{LARGEST}, and 1, 2, 3 or 4 channels."
        )
    one_of(crop, (CENTER, RANDOM), f"crop of the data set {name!r}")
    if not 0 <= damaged <= 1:
        raise UserError(f"Data set {name!r}: damaged={damaged} must be a share from 0 to 1.")
    held = np.zeros(len(records), bool) if test is not None else _held_out(records, held_out)
    others = records if test is None else test
    sides = np.flatnonzero(~held), np.flatnonzero(held)
    if test is not None:
        sides = sides[0], np.arange(len(test))
    if not all(map(len, sides)):
        raise UserError(
            f"Data set {name!r}: held_out={held_out} leaves {len(sides[0])} records of "
            f"{records.where} to train on and {len(sides[1])} to test with; give another share."
        )
    shape = (*edges, channels)
    kept = memory is not False and (memory or len(records) * math.prod(shape) <= KEPT)
    if memory and crop == RANDOM:
        raise UserError(f"Data set {name!r}: memory=True keeps nothing of what crop='random' cuts.")
    damage = Damage(records.where, len(records), damaged)
    also = damage if test is None else Damage(test.where, len(test), damaged)
    return Dataset(
        name=name,
        train=RecordSource(records, sides[0], shape, crop, damage, kept and crop == CENTER),
        test=RecordSource(others, sides[1], shape, CENTER, also, kept),
        shape=shape,
        class_names=class_names,
        captions=_Captions((records,) if test is None else (records, test)),
        prompts=_prompts(others, sides[1]),
    )


def _held_out(records: Records, share: float) -> Bool[np.ndarray, " n"]:
    """Which records are for testing; where both sides are wanted, there is one at least on each."""
    ranks = np.fromiter(
        (
            int.from_bytes(hashlib.sha256(_bytes(records.key(index))).digest()[:8], "big")
            for index in range(len(records))
        ),
        np.uint64,
        len(records),
    )
    held = ranks < np.float64(share) * 2.0**64
    if len(ranks) > 1 and 0 < share < 1:
        held[np.argmin(ranks)], held[np.argmax(ranks)] = True, False
    return held


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")


def _prompts(records: Records, rows: np.ndarray) -> tuple[str, ...]:
    """The first captions of some records, each once."""
    found: dict[str, None] = {}
    for row in rows[: 4 * PROMPTS].tolist():
        found |= dict.fromkeys(_captions(records, row)[:1])
    return tuple(found)[:PROMPTS]


def _captions(records: Records, row: int) -> tuple[str, ...]:
    """Of a record; none of a damaged one."""
    try:
        return records.captions(row)
    except UserError:
        return ()


@dataclasses.dataclass(frozen=True)
class _Captions:
    """All captions of some records, read whenever they are gone through."""

    records: tuple[Records, ...]

    def __iter__(self) -> Iterator[str]:
        for each in self.records:
            for row in range(len(each)):
                yield from _captions(each, row)
