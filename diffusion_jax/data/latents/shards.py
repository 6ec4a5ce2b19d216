"""A data set encoded once, in shards of which each is whole or not there.

Shard k of a split has the examples from k SHARD on. Whoever finds some missing makes them, from
the first or, of several processes that train together, each from a place of its own; a shard that
is made twice has the same content.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import Example, Source, take, values_of
from diffusion_jax.data.latents.codec import LatentCodec
from diffusion_jax.data.latents.source import LatentSource, packed
from diffusion_jax.errors import UserError
from diffusion_jax.files import TEMPORARY, disk_errors, free_room, no_room, save
from diffusion_jax.published.telling import Telling

SHARD_BYTES = 2**26  # of latents, about
LARGEST_SHARD = 4096  # examples
LOOKED_AT = 64  # examples of a source without a fingerprint
FACTS = "about.json"
ENDING = ".array_record"
UNCOMPRESSED = "group_size:1,uncompressed"  # latents do not compress, and are read one by one
OLD = 3600.0  # seconds since a half-written file was last touched: nobody is at it


def prepare(
    data: Dataset, codec: LatentCodec, folder: Path, dtype: np.dtype
) -> tuple[LatentSource, ...]:
    """The latents of both splits of a data set of pictures, made where they are missing.

    Args:
        data: of pictures.
        codec: the autoencoder.
        folder: below which they are kept, in a folder of their own for each autoencoder, data set
            and dtype.
        dtype: that they are kept in.

    Raises:
        UserError: a picture cannot be read, latents are not finite or too large for the dtype,
            there is no room on disk, or what is there is damaged.
    """
    shape, sides = codec.shape(data.shape), {"train": data.train, "test": data.test}
    known = {
        split: f"{codec.fingerprint}-{_digest(fingerprint_of(source), str(dtype), split)}"
        for split, source in sides.items()
    }
    place = folder / f"{data.name}-{_digest(*known.values())[:16]}"
    plans = [
        _Plan(source, codec, dtype, shape, split, place, data.name, known[split])
        for split, source in sides.items()
    ]
    missing = [plan.missing() for plan in plans]
    if left := sum(len(plan.rows(k)) for plan, ks in zip(plans, missing, strict=True) for k in ks):
        _check_room(place, left * plans[0].example_bytes)
        facts = {"data": data.name, "examples": [len(plan.source) for plan in plans]}
        facts |= {"shape": plans[0].shape, "dtype": str(dtype), "autoencoder": codec.fingerprint}
        save(json.dumps(facts, indent=2) + "\n", place / FACTS)
        _remove_old(place)
        told = Telling(f"Encoding {data.form} of {data.name} to {place}", left, "examples")
        for plan, shards in zip(plans, missing, strict=True):
            for k in _from_own_place(shards):
                plan.write(k, told)
    return tuple(plan.opened() for plan in plans)


def fingerprint_of(source: Source) -> str:
    """A digest of what a source has: its own; else of its length and of some of its examples."""
    if own := str(getattr(source, "fingerprint", "")):
        return own
    count = len(source)
    rows = sorted({count * k // LOOKED_AT for k in range(LOOKED_AT)}) if count else []
    digest = hashlib.sha256(str(count).encode())
    for example in take(source, rows):
        for name, value in sorted(example.items()):
            told = value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()
            digest.update(name.encode() + told)
    return digest.hexdigest()


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


@dataclasses.dataclass(frozen=True, eq=False)
class _Plan:
    """How the latents of a split are kept."""

    source: Source
    codec: LatentCodec
    dtype: np.dtype
    shape: tuple[int, ...]
    split: str
    place: Path
    name: str
    fingerprint: str

    @property
    def example_bytes(self) -> int:
        return 2 * int(np.prod(self.shape)) * self.dtype.itemsize

    @property
    def size(self) -> int:
        """Examples of a shard."""
        return max(1, min(LARGEST_SHARD, SHARD_BYTES // self.example_bytes))

    def rows(self, k: int) -> range:
        """The examples of a shard."""
        return range(k * self.size, min((k + 1) * self.size, len(self.source)))

    def files(self) -> tuple[Path, ...]:
        count = -(-len(self.source) // self.size)
        names = (f"{self.split}-{k:05d}-of-{count:05d}{ENDING}" for k in range(count))
        return tuple(self.place / name for name in names)

    def missing(self) -> list[int]:
        return [k for k, file in enumerate(self.files()) if not file.exists()]

    def opened(self) -> LatentSource:
        return LatentSource(self.files(), len(self.source), self.fingerprint)

    def write(self, k: int, told: Telling) -> None:
        """Makes a shard, unless another process has done so by now."""
        from array_record.python.array_record_module import ArrayRecordWriter

        file = self.files()[k]
        if file.exists():
            return told(len(self.rows(k)))
        beside = file.with_name(f".{file.name}.{uuid.uuid4().hex}{TEMPORARY}")
        try:
            with disk_errors(self.place):
                writer = ArrayRecordWriter(str(beside), UNCOMPRESSED)
                for examples in _ahead(self.source, self.rows(k), self.codec.batch_size):
                    for record in self._records(examples):
                        writer.write(record)
                    told(len(examples))
                writer.close()
                _sync(beside)
                os.replace(beside, file)
        finally:
            beside.unlink(missing_ok=True)

    def _records(self, examples: list[Example]) -> Iterator[bytes]:
        mean, log_variance = self.codec.encode(values_of(examples))
        with np.errstate(over="ignore"):
            kept = mean.astype(self.dtype), log_variance.astype(self.dtype)
        if not (np.isfinite(kept[0]).all() and (kept[1] < np.inf).all()):
            advice = ", and are so in float32: keep them in that" if np.isfinite(mean).all() else ""
            raise UserError(
                f"Latents of {self.name} are not finite numbers of {self.dtype}{advice}."
            )
        for row in zip(examples, *kept, strict=True):
            yield packed(*row)


def _ahead(source: Source, rows: range, size: int) -> Iterator[list[Example]]:
    """Batches of examples, of which the next is read while one is worked on."""
    parts = [rows[i : i + size] for i in range(0, len(rows), size)]
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(take, source, parts[0])
        for part in (*parts[1:], None):
            examples = coming.result()
            if part is not None:
                coming = reader.submit(take, source, part)
            yield examples


def _from_own_place(shards: list[int]) -> list[int]:
    """All of them, from where this process begins, of those that train together."""
    first = len(shards) * jax.process_index() // jax.process_count()
    return [*shards[first:], *shards[:first]]


def _sync(file: Path) -> None:
    with open(file, "rb") as written:
        os.fsync(written.fileno())


def _remove_old(place: Path) -> None:
    """Removes what processes that were killed have left half-written."""
    for file in place.glob(f".*{TEMPORARY}"):
        with contextlib.suppress(OSError):  # another process is as fast
            if time.time() - file.stat().st_mtime > OLD:
                file.unlink()


def _check_room(place: Path, needed: int) -> None:
    if needed > free_room(place):
        raise UserError(no_room(place, needed))
