"""Whether pictures show what their captions say."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from diffusion_jax.metrics.base import metrics
from diffusion_jax.metrics.measurement import Measured, NotMeasured, share
from diffusion_jax.metrics.real import Pictures, Real


@metrics.register("exact_match")
@dataclasses.dataclass(frozen=True)
class ExactMatch:
    """The share of pictures that show all that their caption says, as the data's checker reads it.

    Source: Wilson 1927 for the interval.
    """

    formula: ClassVar[str] = "p = mean of 1[the picture shows all that its caption says]"
    unit: ClassVar[str] = "%"
    lower_is_better: ClassVar[bool] = False

    def needs(self, count: int, real: Real) -> str | None:
        return None if real.data.check else "the data set has no checker"

    def __call__(self, pictures: Pictures, captions: Sequence[str], real: Real) -> Measured:
        if real.data.check is None:
            raise NotMeasured("the data set has no checker")
        right = real.data.check(pictures, captions)["all"]
        return share(right)
