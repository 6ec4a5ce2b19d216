"""How many samples are copies of training pictures."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from diffusion_jax.metrics.base import DIFFERENT, metrics, unseen
from diffusion_jax.metrics.features import FeatureMap, Pixels
from diffusion_jax.metrics.measurement import Measured, NotMeasured, share
from diffusion_jax.metrics.neighbours import ALIKE, COPY
from diffusion_jax.metrics.real import Pictures, Real

PIXELS = Pixels()


@metrics.register("copies")
@dataclasses.dataclass(frozen=True)
class Copies:
    """The share of samples whose nearest training picture is under a third as far as the next one.

    Pictures that the training set has several times are one, see `metrics.neighbours.ALIKE`.

    Attributes:
        features: what distances are measured on.

    Source: Yoon et al. 2023 (diffusion models generalize when they fail to memorize), section 3.
    """

    features: FeatureMap = PIXELS

    formula: ClassVar[str] = (
        "p = mean of 1[d₁ < d₂/3], d₁, d₂ the distances to the nearest two training pictures"
    )
    unit: ClassVar[str] = "%"
    lower_is_better: ClassVar[bool] = True

    def needs(self, count: int, real: Real) -> str | None:
        if not real.data.has_pictures:
            return f"what a copy is, is known of pictures, and the data set has {real.data.form}"
        if nothing := unseen(self.features, real.data):
            return nothing
        if real.train_count < 2:
            return DIFFERENT
        if real.train_is_one_picture:
            return f"{DIFFERENT}, by more than {ALIKE:g} values of a byte"
        return None

    def __call__(self, pictures: Pictures, captions: Sequence[str], real: Real) -> Measured:
        nearest = real.nearest(self.features, pictures).distance
        other = real.nearest_other(self.features, pictures)
        if not np.isfinite(other).all():
            raise NotMeasured(f"{DIFFERENT}, by more than {ALIKE:g} values of a byte")
        copied = nearest < COPY * other
        return share(copied)
