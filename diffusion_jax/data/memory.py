"""Captioned pictures in memory, where small sets belong."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Int64, UInt8

from diffusion_jax.data.dataset import Example


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Pictures with their labels and captions, all of the same length."""

    images: UInt8[np.ndarray, "n height width channels"]
    labels: Int64[np.ndarray, " n"]
    captions: Sequence[str]


@dataclasses.dataclass(frozen=True)
class MemorySource:
    """A source over arrays that are loaded when first used.

    Attributes:
        count: number of pictures.
        load: returns them.

    >>> pictures = Pictures(np.zeros((2, 8, 8, 1), np.uint8), np.arange(2), ["a cat", "a dog"])
    >>> MemorySource(2, lambda: pictures)[1]["caption"]
    'a dog'
    """

    count: int
    load: Callable[[], Pictures]

    @functools.cached_property
    def _pictures(self) -> Pictures:
        return self.load()

    @functools.cached_property
    def fingerprint(self) -> str:
        """A digest of pictures, captions and labels, in their order."""
        pictures = self._pictures
        told = json.dumps([list(pictures.captions), np.asarray(pictures.labels).tolist()])
        digest = hashlib.sha256(told.encode())
        digest.update(np.ascontiguousarray(pictures.images).data)
        return digest.hexdigest()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        pictures = self._pictures
        return {
            "image": pictures.images[index],
            "caption": pictures.captions[index],
            "label": int(pictures.labels[index]),
        }

    def __getitems__(self, indices: Sequence[int]) -> list[Example]:
        """Several examples at once."""
        return [self[index] for index in indices]
