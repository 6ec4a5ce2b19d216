"""Real pictures that samples are held against, and their features, made once for all arms."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Float, UInt8

from diffusion_jax.data.dataset import Dataset, Example, Source
from diffusion_jax.evaluation.distance import Features
from diffusion_jax.evaluation.features import Extractor, FeatureMap
from diffusion_jax.evaluation.neighbours import nearest_two

Pictures = UInt8[np.ndarray, "count height width channels"]

REFERENCE = 1000  # test pictures that distances are measured to
MEMORY = 60_000  # training pictures that samples are held against


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
    return data.test.__getitems__([first + i % rest for i in range(count)])


@dataclasses.dataclass(frozen=True)
class Real:
    """Real pictures that samples are held against, and their features, made once for all arms.

    Attributes:
        data: the data set; distances are measured to the first `reference_count` test pictures.
        count: test pictures after those whose captions samples have, see `captioned_pictures`.
    """

    data: Dataset
    count: int

    @property
    def captions(self) -> tuple[str, ...]:
        """Of the samples."""
        return tuple(example["caption"] for example in captioned_pictures(self.data, self.count))

    @functools.cached_property
    def pictures(self) -> Pictures:
        """Those that have the captions of the samples."""
        return np.stack([example["image"] for example in captioned_pictures(self.data, self.count)])

    @functools.cached_property
    def _extractors(self) -> dict[FeatureMap, Extractor]:
        return {}

    def extractor(self, features: FeatureMap) -> Extractor:
        """Features fitted to this data."""
        if features not in self._extractors:
            self._extractors[features] = features.fit(self.data)
        return self._extractors[features]

    @functools.cached_property
    def _features(self) -> dict[tuple[FeatureMap, str], Features]:
        return {}

    def features(self, features: FeatureMap, which: str) -> Features:
        """Of "reference" pictures, those that distances are measured to, or of "train"."""
        if (features, which) not in self._features:
            self._features[features, which] = self.extractor(features)(self._pictures(which))
        return self._features[features, which]

    @functools.cached_property
    def _nearest(self) -> dict[tuple[FeatureMap, int], Float[np.ndarray, "count 2"]]:
        return {}

    def nearest(self, features: FeatureMap, pictures: Pictures) -> Float[np.ndarray, "count 2"]:
        """Distances of pictures to the two nearest of training, sought once for all metrics."""
        key = features, hash(pictures.tobytes())
        if key not in self._nearest:
            rows = self.extractor(features)(pictures)
            self._nearest[key] = nearest_two(rows, self.features(features, "train"))
        return self._nearest[key]

    def _pictures(self, which: str) -> Pictures:
        if which == "reference":
            return _first(self.data.test, reference_count(self.data))
        return _first(self.data.train, MEMORY)


def _first(source: Source, count: int) -> Pictures:
    found = source.__getitems__(range(min(count, len(source))))
    return np.stack([example["image"] for example in found])
