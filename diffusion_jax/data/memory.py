"""Examples in memory, where small sets belong."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from diffusion_jax.data.example import NO_LABEL, Example, Source, Values, take
from diffusion_jax.errors import UserError


@dataclasses.dataclass(frozen=True, eq=False)
class ArraySource:
    """A source over arrays in memory; row i of each belongs to example i.

    Attributes:
        values: n pictures, uint8 (n, height, width, channels), or n vectors, float32 (n, features).
        labels: the class of each, -1 for none; None if there are no classes.
        captions: of each: a text, or several; None if there are none.
        keys: that tell each from all others; their indices if left out.
        others: name -> n further values, for conditioners.

    Raises:
        UserError: they are not of the same length.

    >>> source = ArraySource(np.zeros((2, 8, 8, 1), np.uint8), captions=["a cat", "a dog"])
    >>> source[1]["captions"]
    ('a dog',)
    """

    values: Values
    labels: np.ndarray | None = None
    captions: Sequence[str | Sequence[str]] | None = None
    keys: Sequence[int | str] | None = None
    others: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        named = {"labels": self.labels, "captions": self.captions, "keys": self.keys}
        for name, column in (named | dict(self.others)).items():
            if column is not None and len(column) != len(self):
                raise UserError(f"There are {len(self)} examples, and {len(column)} {name}.")

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> Example:
        kind = "image" if self.values.dtype == np.uint8 else "vector"
        return {
            kind: self.values[index],
            "captions": () if self.captions is None else _several(self.captions[index]),
            "label": NO_LABEL if self.labels is None else int(self.labels[index]),
            "key": index if self.keys is None else self.keys[index],
            **{name: column[index] for name, column in self.others.items()},
        }

    @functools.cached_property
    def fingerprint(self) -> str:
        """A digest of all that networks may read, in its order."""
        captions = [] if self.captions is None else list(self.captions)
        labels = [] if self.labels is None else np.asarray(self.labels).tolist()
        digest = hashlib.sha256(json.dumps([captions, labels]).encode())
        for column in (self.values, *self.others.values()):
            digest.update(np.ascontiguousarray(column).data)
        return digest.hexdigest()


def _several(captions: str | Sequence[str]) -> tuple[str, ...]:
    return (captions,) if isinstance(captions, str) else tuple(captions)


@dataclasses.dataclass(frozen=True)
class MemorySource:
    """A source that is loaded when it is first used.

    Attributes:
        count: number of examples.
        load: returns the source.
    """

    count: int
    load: Callable[[], Source]

    @functools.cached_property
    def _loaded(self) -> Source:
        return self.load()

    @functools.cached_property
    def fingerprint(self) -> str:
        """That of what is loaded; "" if it has none."""
        return str(getattr(self._loaded, "fingerprint", ""))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        return self._loaded[index]

    def __getitems__(self, indices: Sequence[int]) -> list[Example]:
        """Several examples at once."""
        return take(self._loaded, indices)
