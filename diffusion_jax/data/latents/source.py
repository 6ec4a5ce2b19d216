"""Examples whose latents lie in shards on disk."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flax import serialization
from jaxtyping import Float64

from diffusion_jax.data.example import Example
from diffusion_jax.data.indexed_random import normals
from diffusion_jax.errors import UserError

MEAN, LOG_VARIANCE = "mean", "log_variance"
TUPLES = ("captions", "caption_weights")


def packed(example: Example, mean: np.ndarray, log_variance: np.ndarray) -> bytes:
    """A record: the latents of an example, and what it says besides its picture."""
    told = {name: value for name, value in example.items() if name != "image"}
    told |= {name: list(told[name]) for name in TUPLES if name in told}
    return serialization.msgpack_serialize(told | {MEAN: mean, LOG_VARIANCE: log_variance})


def unpacked(record: bytes) -> tuple[Example, np.ndarray, np.ndarray]:
    """The inverse of `packed`: an example without a picture, mean and log-variance."""
    told = serialization.msgpack_restore(record)
    mean, log_variance = (np.asarray(told.pop(n), np.float32) for n in (MEAN, LOG_VARIANCE))
    return told | {n: tuple(told[n]) for n in TUPLES if n in told}, mean, log_variance


@dataclasses.dataclass(frozen=True, eq=False)
class LatentSource:
    """The latents of some pictures, read when they are asked for.

    Where an example is asked for by its index its `vector` is the mean of its latents. Training
    draws z ~ N(mean, variance), by the random numbers that belong to (seed, position) alone.

    Attributes:
        files: of records, in their order.
        count: how many records there are.
        fingerprint: a digest of the autoencoder, then one of the pictures and of how they are kept.
    """

    files: tuple[Path, ...]
    count: int
    fingerprint: str

    def __reduce__(self) -> tuple[Any, ...]:
        """Processes that read open the files anew."""
        return LatentSource, (self.files, self.count, self.fingerprint)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Example]:
        """Several examples, with the means of their latents."""
        return [told | {"vector": mean} for told, mean, _ in self._read(indices)]

    def drawn(self, indices: Sequence[int], u: Float64[np.ndarray, "n 2"]) -> list[Example]:
        """Several examples for training, with latents that are drawn.

        Args:
            indices: n of them.
            u: random numbers from 0 to 1, from which those of the latents are made.
        """
        return [
            told | {"vector": mean + np.exp(log_variance / 2) * normals(row, mean.shape)}
            for (told, mean, log_variance), row in zip(self._read(indices), u, strict=True)
        ]

    def _read(self, indices: Sequence[int]) -> list[tuple[Example, np.ndarray, np.ndarray]]:
        if wrong := [index for index in indices if not 0 <= index < self.count]:
            raise IndexError(f"{wrong[0]} is not in 0..{self.count - 1}")
        try:
            return [unpacked(record) for record in self._records.__getitems__(list(indices))]
        except Exception as error:  # whatever the readers of a damaged file stumble over
            raise self._damaged(error) from error

    @functools.cached_property
    def _records(self) -> Any:
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        try:
            found = ArrayRecordDataSource([str(file) for file in self.files])
        except Exception as error:  # its reader raises RuntimeError and what C++ raises
            raise self._damaged(error) from error
        if len(found) != self.count:
            raise self._damaged(f"there are {len(found)} records, not {self.count}")
        return found

    def _damaged(self, why: object) -> UserError:
        reason = " ".join(str(why).split())[:160]
        return UserError(
            f"The latents in {self.files[0].parent} are damaged ({reason}): remove that folder, "
            "and they are made again."
        )
