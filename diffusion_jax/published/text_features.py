"""What a released text encoder makes of captions: made once and kept on disk, or when asked for."""

import dataclasses
import functools
import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flax import serialization
from jaxtyping import Float32

from diffusion_jax.errors import UserError
from diffusion_jax.files import TEMPORARY, disk_errors
from diffusion_jax.networks.encoders import Encoding
from diffusion_jax.published.autoencoder import part_digest
from diffusion_jax.published.encoder import ReleasedEncoder
from diffusion_jax.published.telling import Telling

Features = dict[str, np.ndarray]
"""tokens, (n, length, width), mask, (n, length), and pooled, (n, features), if there is one."""

SHARD = 4096  # captions
NAME = "caption"  # in a record, its digest
RECORDS, KEYS = ".array_record", ".npy"
TOKENS, MASK, POOLED = "tokens", "mask", "pooled"


@dataclasses.dataclass(eq=False)
class TextFeatures:
    """Captions to what a text encoder makes of them, in half precision.

    A folder has a folder for each encoder, by its weights, settings and tokenizer. In it are shards
    of records, and beside each, written after it, the digests of its captions: without these a
    shard does not count.

    Attributes:
        encoder: with its tokenizer.
        folder: where features are kept; None keeps none.
        length: of all captions in tokens; None is what the tokenizer says.
        batch_size: captions at once.
    """

    encoder: ReleasedEncoder
    folder: Path | None = None
    length: int | None = None
    batch_size: int = 32

    @functools.cached_property
    def fingerprint(self) -> str:
        """A digest of weights, settings, tokenizer and length."""
        words = self.encoder.tokenizer
        told = words and (words.library.to_str(), words.pad, words.longest, words.side)
        digest = hashlib.sha256(repr((told, self.length)).encode())
        digest.update(part_digest(self.encoder.part).encode())
        return digest.hexdigest()

    @property
    def place(self) -> Path | None:
        """The folder of this encoder."""
        return None if self.folder is None else self.folder / self.fingerprint[:16]

    def prepare(self, captions: Iterable[str]) -> int:
        """Keeps the features of captions that are not kept yet; returns how many were made.

        Captions are gone through once, a shard of them at a time.

        Raises:
            UserError: there is no room on disk, or features are not finite in half precision.
        """
        if self.place is None:
            return 0
        self.place.mkdir(parents=True, exist_ok=True)
        made, told = 0, None
        for shard in self._missing(captions):
            told = told or Telling(f"Reading captions by {self.encoder.path}", None, "captions")
            self._write(shard)
            told(len(shard))
            made += len(shard)
        if told is not None:
            told.end()
        return made

    def of(self, captions: Sequence[str]) -> dict[str, Float32[np.ndarray, "n ..."]]:
        """The features of captions, a row for each: kept ones, others made now."""
        rows = self._kept(captions)
        missing = [text for text in dict.fromkeys(captions) if text not in rows]
        for first in range(0, len(missing), self.batch_size):
            part = missing[first : first + self.batch_size]
            rows |= dict(zip(part, _rows(self._made(part)), strict=True))
        names = rows[captions[0]]
        return {n: np.stack([rows[text][n] for text in captions]).astype(np.float32) for n in names}

    def _missing(self, captions: Iterable[str]) -> Iterator[list[str]]:
        """Captions that are not kept, each once, a shard at a time."""
        shard: dict[str, None] = {}
        for text in captions:
            if text and text not in shard and self._position(text) is None:
                shard[text] = None
            if len(shard) == SHARD:
                yield list(shard)
                shard = {}
        if shard:
            yield list(shard)

    def _write(self, captions: Sequence[str]) -> None:
        from array_record.python.array_record_module import ArrayRecordWriter

        assert self.place is not None, "features are kept"
        name = uuid.uuid4().hex
        beside = self.place / f".{name}{TEMPORARY}"
        try:
            with disk_errors(self.place):
                writer = ArrayRecordWriter(str(beside), "group_size:1,uncompressed")
                for first in range(0, len(captions), self.batch_size):
                    part = captions[first : first + self.batch_size]
                    for text, row in zip(part, _rows(self._made(part)), strict=True):
                        writer.write(serialization.msgpack_serialize({NAME: _digest(text), **row}))
                writer.close()
                os.replace(beside, self.place / f"{name}{RECORDS}")
                with open(beside, "wb") as file:
                    np.save(file, np.array([_key(text) for text in captions], np.uint64))
                os.replace(beside, self.place / f"{name}{KEYS}")
        finally:
            beside.unlink(missing_ok=True)
        for found in ("_index", "_source"):
            self.__dict__.pop(found, None)

    def _made(self, captions: Sequence[str]) -> Features:
        """What the encoder makes; the last batch is filled up, so that all have one shape."""
        filled = [*captions, *[captions[0]] * (self.batch_size - len(captions))]
        words = self.encoder.tokenizer
        assert words is not None, "a text encoder has a tokenizer"
        found: Encoding = self.encoder.text(filled, self.length)
        features = {TOKENS: np.asarray(found.tokens), MASK: words(filled, self.length)[1]}
        if found.pooled is not None:
            features[POOLED] = np.asarray(found.pooled)
        with np.errstate(over="ignore"):
            half = {n: each[: len(captions)].astype(np.float16) for n, each in features.items()}
        if not all(np.isfinite(each).all() for each in half.values()):
            raise UserError(f"{self.encoder.path} makes features too large for half precision.")
        return half

    @functools.cached_property
    def _index(self) -> tuple[np.ndarray, np.ndarray, tuple[Path, ...]]:
        """Sorted keys, their positions in all shards, and the shards."""
        if self.place is None or not self.place.is_dir():
            return np.zeros(0, np.uint64), np.zeros(0, np.int64), ()
        files = sorted(self.place.glob(f"*{KEYS}"))
        keys = np.concatenate([np.zeros(0, np.uint64), *(np.load(file) for file in files)])
        order = np.argsort(keys, kind="stable")
        return keys[order], order, tuple(file.with_suffix(RECORDS) for file in files)

    @functools.cached_property
    def _source(self) -> Any:
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        return ArrayRecordDataSource([str(file) for file in self._index[2]])

    def _position(self, text: str) -> int | None:
        keys, positions, _ = self._index
        key = np.uint64(_key(text))
        at = int(np.searchsorted(keys, key))
        return int(positions[at]) if at < len(keys) and keys[at] == key else None

    def _kept(self, captions: Sequence[str]) -> dict[str, Features]:
        """Caption -> its features, for those that are kept."""
        places = {text: self._position(text) for text in dict.fromkeys(captions)}
        known = {text: place for text, place in places.items() if place is not None}
        if not known:
            return {}
        try:
            records = self._source.__getitems__(list(known.values()))
            read = [serialization.msgpack_restore(record) for record in records]
            found = dict(zip(known, read, strict=True))
            return {text: row for text, row in found.items() if row.pop(NAME) == _digest(text)}
        except Exception as error:  # whatever the readers of a damaged file stumble over
            reason = " ".join(str(error).split())[:160]
            raise UserError(
                f"The features of captions in {self.place} are damaged ({reason}): remove that "
                "folder, and they are made again."
            ) from error


def _rows(features: Features) -> list[Features]:
    count = len(features[TOKENS])
    return [{name: each[row] for name, each in features.items()} for row in range(count)]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _key(text: str) -> int:
    return int.from_bytes(_digest(text)[:8], "big")
