"""Labelled pictures in memory."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

from diffusion_jax.data.real.raw import Pictures


@dataclasses.dataclass(frozen=True)
class LabelledSource:
    """A source over arrays that are loaded when first used.

    Attributes:
        count: number of pictures.
        load: returns the pictures and their labels.
        captions: for each label.

    >>> import numpy as np
    >>> load = lambda: (np.zeros((3, 8, 8, 1), np.uint8), np.array([0, 1, 1]))
    >>> LabelledSource(3, load, ("a cat", "a dog"))[2]["caption"]
    'a dog'
    """

    count: int
    load: Callable[[], Pictures]
    captions: tuple[str, ...]

    @functools.cached_property
    def _pictures(self) -> Pictures:
        return self.load()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        images, labels = self._pictures
        label = int(labels[index])
        return {"image": images[index], "caption": self.captions[label], "label": label}

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Several examples at once."""
        return [self[index] for index in indices]
