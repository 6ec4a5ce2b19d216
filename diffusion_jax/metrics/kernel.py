"""The kernel distance as a metric."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from diffusion_jax.metrics import distance
from diffusion_jax.metrics.base import metrics, too_few
from diffusion_jax.metrics.distance import kernel_distance
from diffusion_jax.metrics.features import FeatureMap, Pixels
from diffusion_jax.metrics.measurement import Measured, of_distance
from diffusion_jax.metrics.real import Pictures, Real

PIXELS = Pixels()


@metrics.register("kernel")
@dataclasses.dataclass(frozen=True)
class Kernel:
    """Squared kernel distance to test examples: the unbiased MMD² with KID's cubic kernel.

    k(x, y) = (x·y/d + 1)³, of d features.

    Attributes:
        features: what pictures are compared by.

    Source: Gretton et al. 2012, eq. 3; Bińkowski et al. 2018 (KID).
    """

    features: FeatureMap = PIXELS

    formula: ClassVar[str] = "d² = E k(x, x′) + E k(y, y′) − 2 E k(x, y), k(x, y) = (x·y/d + 1)³"
    unit: ClassVar[str] = ""
    lower_is_better: ClassVar[bool] = True

    def needs(self, count: int, real: Real) -> str | None:
        return too_few(count, real, distance.LEAST, self.features)

    def __call__(self, pictures: Pictures, captions: Sequence[str], real: Real) -> Measured:
        samples = real.extractor(self.features)(pictures)
        return of_distance(kernel_distance(samples, real.reference(self.features)), len(samples))
