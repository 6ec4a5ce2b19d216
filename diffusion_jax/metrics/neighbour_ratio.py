"""How new samples are, beside unseen pictures."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from diffusion_jax.metrics.base import metrics, unseen
from diffusion_jax.metrics.features import FeatureMap, Pixels
from diffusion_jax.metrics.measurement import Measured, NotMeasured, measured
from diffusion_jax.metrics.real import Pictures, Real, reference_count

PIXELS = Pixels()
LEAST = 2  # of either kind
WITH_INTERVAL = 6  # of either kind: the median lies outside all of n with probability 2^(1 - n)
RESAMPLED = 1000  # draws of a bootstrap
SEED = 0  # of the bootstrap
ENDLESS = 0.02  # share of its draws that may have no end, beyond that of the 95% interval


@metrics.register("neighbour_ratio")
@dataclasses.dataclass(frozen=True)
class NeighbourRatio:
    """Median distance of samples to their nearest training example over that of unseen ones.

    1 is as new as unseen pictures are, 0 is a copy; above 1 samples are unlike any picture, as blur
    is too. The unseen ones have the samples' captions; the interval is a bootstrap's, over both,
    and none where either are fewer than six.

    Attributes:
        features: what distances are measured on.

    Source: Meehan et al. 2020 (a non-parametric test to detect data-copying), section 2.
    """

    features: FeatureMap = PIXELS

    formula: ClassVar[str] = (
        "r = median d(sample)/median d(unseen), d the distance to the nearest training example"
    )
    unit: ClassVar[str] = ""
    lower_is_better: ClassVar[bool] = False

    def needs(self, count: int, real: Real) -> str | None:
        if count < LEAST:
            return f"{count} sample has no median with an interval: {LEAST} are needed"
        if _unseen_count(real) < LEAST:
            return f"{LEAST} test examples with captions of samples are needed"
        return unseen(self.features, real.data)

    def __call__(self, pictures: Pictures, captions: Sequence[str], real: Real) -> Measured:
        ours = real.nearest(self.features, pictures).distance
        theirs = real.nearest(self.features, real.pictures).distance
        rng = np.random.default_rng(SEED)
        above, below = _medians(ours, rng), _medians(theirs, rng)
        if not np.median(theirs) or (below == 0).mean() > ENDLESS:
            raise NotMeasured(
                f"of {len(theirs)} test examples with the samples' captions, "
                f"{int((theirs == 0).sum())} are training examples, so that there is no distance "
                "of unseen ones"
            )
        drawn = np.where(below > 0, above / np.where(below > 0, below, 1), np.inf)
        low, high = np.quantile(drawn, (0.025, 0.975))
        value = float(np.median(ours) / np.median(theirs))
        if min(len(ours), _unseen_count(real)) < WITH_INTERVAL:
            return Measured(value, count=len(ours))
        return measured(value, float(low), float(high), len(ours))


def _unseen_count(real: Real) -> int:
    """Different test pictures with captions of samples; they come again where they are few."""
    return min(real.count, len(real.data.test) - reference_count(real.data))


def _medians(values: Float[np.ndarray, "n"], rng: np.random.Generator) -> Float[np.ndarray, "_"]:
    return np.asarray(np.median(rng.choice(values, (RESAMPLED, len(values))), axis=1))
