"""What the rest of the library knows of a data set."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from diffusion_jax.data.tokenizer import Tokenizer
from diffusion_jax.registry import Registry

Example = dict[str, Any]
"""{"image": uint8 (height, width, channels), "caption": str, "label": int}"""

Check = Callable[[np.ndarray, Sequence[str]], Mapping[str, np.ndarray]]
"""(uint8 pictures (n, h, w, c), n captions) -> attribute name -> bool (n,), with "all"."""


@runtime_checkable
class Source(Protocol):
    """Examples by index, in any order, the same every time."""

    def __len__(self) -> int:
        """Number of examples."""

    def __getitem__(self, index: int) -> Example:
        """One example."""

    def __getitems__(self, indices: Sequence[int]) -> list[Example]:
        """Several examples at once, which is often much faster."""


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Captioned pictures, split into what is trained on and what is not.

    Attributes:
        name: of the registry.
        train: examples to train on.
        test: examples to compare with; where `held_out_captions` is not empty, of those.
        size: pixels along an edge.
        channels: 1 (grey) or 3 (RGB), or 2 or 4, whose last is the opacity.
        class_names: what an example's label stands for.
        tokenizer: knows every word of the captions, of train and test alike.
        prompts: captions worth sampling; unseen in training where `held_out_captions` says so.
        held_out_captions: captions that are never in `train`, where the set holds captions out.
        check: reads from pictures whether they show what captions say, if that can be told.
    """

    name: str
    train: Source
    test: Source
    size: int
    channels: int
    class_names: tuple[str, ...]
    tokenizer: Tokenizer
    prompts: tuple[str, ...]
    held_out_captions: tuple[str, ...] = ()
    check: Check | None = None

    @property
    def num_classes(self) -> int:
        """Number of different labels."""
        return len(self.class_names)


def check_readable(data: Dataset) -> None:
    """Finds out before it matters whether the pictures of both splits can be read.

    Sources that keep their pictures in memory read all of them; others are asked for their first.

    Raises:
        UserError: a picture cannot be read; the message names it.
    """
    for source in (data.train, data.test):
        if len(source):
            source.__getitems__([0])


datasets: Registry[Dataset] = Registry("data set")
