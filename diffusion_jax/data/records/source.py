"""Records as examples: decoded, cut and resized when they are asked for."""

import dataclasses
import functools
import hashlib
import io
import json
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from diffusion_jax.data.example import Example
from diffusion_jax.data.pictures import cut_out
from diffusion_jax.data.pictures.files import THREADS
from diffusion_jax.data.pictures.fit import MIDDLE, reason_of
from diffusion_jax.data.records.damage import Damage
from diffusion_jax.data.records.record import PictureRecord, Records
from diffusion_jax.errors import UserError

CENTER, RANDOM = "center", "random"


@dataclasses.dataclass(frozen=True, eq=False)
class RecordSource:
    """The examples that some records are.

    A picture is turned as its EXIF data says, made 8 bits a channel (`data.pictures.eight_bits`),
    and cut to the largest part of the shape that is wanted, which is resized. Beside the keys that
    every example has there are `original_size`, float32 (height, width), and `crop`, float32 (top,
    left): how large the picture was, and where in it the cut begins, in its pixels.

    In the place of a damaged record stands the next good one of the source, so that what is at an
    index depends on the records alone.

    Attributes:
        records: on disk.
        rows: which of them, int64.
        shape: of a picture, (height, width, channels).
        crop: "center", or "random": where a batch for training is cut, evenly at random; else in
            the middle too.
        damage: of all records.
        memory: keep what has been decoded, where it is always the same.
    """

    records: Records
    rows: Int64[np.ndarray, " n"]
    shape: tuple[int, int, int]
    crop: str
    damage: Damage
    memory: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        """What is kept is not sent along."""
        fields = dataclasses.fields(self)
        return RecordSource, tuple(getattr(self, field.name) for field in fields)

    @functools.cached_property
    def _kept(self) -> dict[int, Example]:
        return {}

    def __len__(self) -> int:
        return len(self.rows)

    @functools.cached_property
    def fingerprint(self) -> str:
        """A digest of which records these are, and of how they are cut."""
        facts = json.dumps([self.records.fingerprint, self.shape, self.crop]).encode()
        return hashlib.sha256(facts + np.ascontiguousarray(self.rows).tobytes()).hexdigest()

    def __getitem__(self, index: int) -> Example:
        return self._example(index, MIDDLE)

    def __getitems__(self, indices: Sequence[int]) -> list[Example]:
        """Several examples, read and decoded in threads."""
        return self._examples(indices, [MIDDLE] * len(indices))

    def drawn(self, indices: Sequence[int], u: Float64[np.ndarray, "n 2"]) -> list[Example]:
        """Several examples for training, cut where random numbers say.

        Args:
            indices: n of them.
            u: from 0, the top or left, to 1.
        """
        middle = self.crop == CENTER
        return self._examples(indices, [MIDDLE if middle else (v, h) for v, h in u.tolist()])

    def _examples(
        self, indices: Sequence[int], places: Sequence[tuple[float, float]]
    ) -> list[Example]:
        if self.memory and all(index in self._kept for index in indices):
            return [dict(self._kept[index]) for index in indices]
        with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as threads:
            return list(threads.map(self._example, indices, places))

    def _example(self, index: int, place: tuple[float, float]) -> Example:
        """One that is kept, or read, and kept then."""
        if not self.memory:
            return self._read(index, place)
        if index not in self._kept:
            self._kept[index] = self._read(index, place)
        return dict(self._kept[index])

    def _read(self, index: int, place: tuple[float, float]) -> Example:
        for step in range(len(self)):
            row = int(self.rows[(index + step) % len(self)])
            key = self.records.key(row)
            if key in self.damage.found:
                continue
            try:
                return self._decoded(self.records[row], place) | {"key": key}
            except UserError as error:
                self.damage.note(key, str(error))
        raise UserError(f"{self.records.where}: no record can be read.")

    def _decoded(self, record: PictureRecord, place: tuple[float, float]) -> Example:
        from PIL import Image, UnidentifiedImageError

        if not record.picture:
            raise UserError("its picture is empty")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(io.BytesIO(record.picture)) as opened:
                    image, cut = cut_out(opened, self.shape, place)
        except UserError:
            raise
        except UnidentifiedImageError as error:
            raise UserError("it is not a picture") from error
        except Exception as error:  # whatever the decoder of a damaged picture stumbles over
            raise UserError(reason_of(error)) from error
        return {
            "image": image,
            "captions": record.captions,
            "label": record.label,
            **({"caption_weights": record.weights} if record.weights else {}),
            "original_size": np.array(cut.size, np.float32),
            "crop": np.array(cut.corner, np.float32),
        }
