"""Real pictures that samples are held against, and their features, made once for all arms."""

import dataclasses
import functools
import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import Example, Source, Values, caption_of, take, values_of
from diffusion_jax.metrics.distance import Features
from diffusion_jax.metrics.features import Extractor, FeatureMap
from diffusion_jax.metrics.neighbours import (
    Chunk,
    Nearest,
    all_alike,
    nearest,
    nearest_other,
)

Pictures = Values

REFERENCE = 1000  # test pictures that distances are measured to
MEMORY = 60_000  # training pictures that samples are held against
KEPT_VALUES = 2**25  # of features of training pictures, kept if they are no more: 256 MiB
CHUNK_VALUES = 2**22  # of training pictures at once, of which float64 takes 32 MiB


def reference_count(data: Dataset) -> int:
    """How many of the first test pictures distances are measured to; the others give captions."""
    return min(REFERENCE, len(data.test) // 2)


def captioned_pictures(data: Dataset, count: int) -> list[Example]:
    """The test examples whose captions samples are asked for.

    They follow those that distances are measured to, and come again where there are not enough.
    So samples have captions of the data's own frequencies, and these pictures, measured like
    samples, are what a perfect model would paint.
    """
    first = reference_count(data)
    rest = len(data.test) - first
    return take(data.test, [first + i % rest for i in range(count)])


@dataclasses.dataclass(frozen=True)
class Real:
    """Real pictures that samples are held against, and their features, made once for all arms.

    Attributes:
        data: the data set; of one of latents, that of the pictures that they are of. Distances are
            measured to the first `reference_count` test pictures.
        count: test pictures after those whose captions samples have, see `captioned_pictures`.
    """

    data: Dataset
    count: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", self.data.visible)

    @property
    def captions(self) -> tuple[str, ...]:
        """Of the samples."""
        return tuple(caption_of(example) for example in captioned_pictures(self.data, self.count))

    @functools.cached_property
    def pictures(self) -> Pictures:
        """Those that have the captions of the samples."""
        return values_of(captioned_pictures(self.data, self.count))

    @functools.cached_property
    def _extractors(self) -> dict[FeatureMap, Extractor]:
        return {}

    def extractor(self, features: FeatureMap) -> Extractor:
        """Features fitted to this data."""
        if features not in self._extractors:
            self._extractors[features] = features.fit(self.data)
        return self._extractors[features]

    @functools.cached_property
    def _reference(self) -> dict[FeatureMap, Features]:
        return {}

    def reference(self, features: FeatureMap) -> Features:
        """Of the test pictures that distances are measured to."""
        if features not in self._reference:
            pictures = _first(self.data.test, reference_count(self.data))
            self._reference[features] = self.extractor(features)(pictures)
        return self._reference[features]

    @property
    def train_count(self) -> int:
        """How many training pictures samples are held against."""
        return min(MEMORY, len(self.data.train))

    def train(self) -> Iterator[Pictures]:
        """Those training pictures, in chunks of about `CHUNK_VALUES` values."""
        size = max(CHUNK_VALUES // math.prod(self.data.shape), 1)
        for start in range(0, self.train_count, size):
            stop = min(start + size, self.train_count)
            yield values_of(take(self.data.train, range(start, stop)))

    @functools.cached_property
    def train_is_one_picture(self) -> bool:
        """Whether training pictures are all alike, see `neighbours.ALIKE`; reads but two often."""
        return all_alike(self.train())

    @functools.cached_property
    def _nearest(self) -> dict[tuple[FeatureMap, int], Nearest]:
        return {}

    def nearest(self, features: FeatureMap, pictures: Pictures) -> Nearest:
        """The nearest training pictures, sought once for all metrics."""
        key = features, hash(pictures.tobytes())
        if key not in self._nearest:
            extract = self.extractor(features)
            self._nearest[key] = nearest(extract(pictures), self._train_chunks(features))
        return self._nearest[key]

    def nearest_other(self, features: FeatureMap, pictures: Pictures) -> Float[np.ndarray, "count"]:
        """Distances to the nearest training pictures that are not the nearest over again."""
        extract, first = self.extractor(features), self.nearest(features, pictures)
        return nearest_other(extract(pictures), first, self._train_chunks(features))

    @functools.cached_property
    def _train_features(self) -> dict[FeatureMap, list[Features]]:
        return {}

    def _train_chunks(self, features: FeatureMap) -> Iterator[Chunk]:
        """Training pictures and their features, which are kept where they are small."""
        extract, kept = self.extractor(features), self._train_features.get(features)
        if kept is not None:
            yield from zip(kept, self.train(), strict=True)
            return
        small, made = self.train_count * features.dim(self.data) <= KEPT_VALUES, []
        for pictures in self.train():
            found = extract(pictures)
            if small:
                made.append(found)
            yield found, pictures
        if small:
            self._train_features[features] = made


def _first(source: Source, count: int) -> Pictures:
    return values_of(take(source, range(count)))
