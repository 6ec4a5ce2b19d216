"""A data set of vectors, so that a whole training run takes a second."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.data.example import Example, to_unit

NAMES = ("low", "high")
FEATURES = 6


@dataclasses.dataclass(frozen=True)
class Points:
    """Two clusters of bytes; the label says which."""

    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        label = index % 2
        noise = np.random.default_rng(index).integers(0, 60, FEATURES)
        image = (noise + 180 * label).astype(np.uint8)
        return {"vector": to_unit(image), "captions": (NAMES[label],), "label": label}

    def __getitems__(self, indices: Sequence[int]) -> list[Example]:
        return [self[index] for index in indices]


@datasets.register("points")
def points(count: int = 100) -> Dataset:
    return Dataset(
        name="points",
        train=Points(count),
        test=Points(10),
        shape=(FEATURES,),
        class_names=NAMES,
        captions=NAMES,
        prompts=NAMES,
    )
