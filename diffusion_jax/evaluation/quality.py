"""How good samples are, by every measure that a config names, each with its interval and count.

A metric looks at pictures, at the captions they were asked for, and at real pictures of three
kinds: those that distances are measured to, those that have the very captions of the samples, and
those that were trained on. Real pictures with the captions of the samples, put in the place of
samples, give what a perfect model would get (`floor`).
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from diffusion_jax.evaluation import frechet
from diffusion_jax.evaluation.distance import Distance, kernel_distance
from diffusion_jax.evaluation.features import FeatureMap, Pixels, Principal
from diffusion_jax.evaluation.frechet import frechet_distance
from diffusion_jax.evaluation.neighbours import COPY
from diffusion_jax.evaluation.paired import Z95, wilson
from diffusion_jax.evaluation.real import Pictures, Real
from diffusion_jax.registry import Registry

RESAMPLED = 1000  # draws of a bootstrap
SEED = 0  # of the bootstrap
PIXELS, PRINCIPAL = Pixels(), Principal()


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A measured number with its 95% interval over draws of samples.

    Attributes:
        value: the estimate.
        low: lower end of the interval.
        high: upper end.
        count: number of samples.
    """

    value: float
    low: float
    high: float
    count: int


@runtime_checkable
class Metric(Protocol):
    """A measure of the quality of samples.

    `unit` is what its values are in, "%" for shares from 0 to 1, "" for plain numbers, and
    `better` says in which direction they improve.
    """

    unit: ClassVar[str]
    better: ClassVar[Literal["higher", "lower"]]

    def __call__(
        self, pictures: Pictures, captions: Sequence[str], real: Real
    ) -> Measurement | None:
        """Measures samples; None where the data set, or so few samples, do not allow it."""
        ...


metrics: Registry[Metric] = Registry("metric")
DEFAULT = ("exact_match", "frechet", "kernel", "neighbour_ratio", "copies")


@metrics.register("exact_match")
@dataclasses.dataclass(frozen=True)
class ExactMatch:
    """The share of pictures that show all that their caption says, as the data's checker reads it.

    Source: Wilson 1927 for the interval.
    """

    unit, better = "%", "higher"

    def __call__(
        self, pictures: Pictures, captions: Sequence[str], real: Real
    ) -> Measurement | None:
        if real.data.check is None:
            return None
        right = real.data.check(pictures, captions)["all"]
        return Measurement(*wilson(right), len(right))


@metrics.register("frechet")
@dataclasses.dataclass(frozen=True)
class Frechet:
    """Squared Fréchet distance to test pictures, on features that are not Inception's.

    d² = |mu_1 - mu_2|² + tr(C_1 + C_2 - 2 (C_1 C_2)^(1/2)). Extrapolated, it needs four samples
    and four test pictures per feature, and is not measured with fewer.

    Attributes:
        features: what pictures are compared by.
        extrapolated: without the leading bias of finite samples, see `evaluation.frechet`.

    Source: Dowson & Landau 1982; Heusel et al. 2017 (FID); Chong & Forsyth 2020.
    """

    features: FeatureMap = PRINCIPAL
    extrapolated: bool = True

    unit, better = "", "lower"

    def __call__(
        self, pictures: Pictures, captions: Sequence[str], real: Real
    ) -> Measurement | None:
        samples = real.extractor(self.features)(pictures)
        reference = real.features(self.features, "reference")
        wanted = frechet.PER_FEATURE * samples.shape[1] if self.extrapolated else frechet.LEAST
        if min(len(samples), len(reference)) < wanted:
            return None
        return _of(frechet_distance(samples, reference, self.extrapolated), len(samples))


@metrics.register("kernel")
@dataclasses.dataclass(frozen=True)
class Kernel:
    """Squared kernel distance to test pictures: the unbiased MMD² with KID's cubic kernel.

    k(x, y) = (x·y/d + 1)³, of d features.

    Attributes:
        features: what pictures are compared by.

    Source: Gretton et al. 2012, eq. 3; Bińkowski et al. 2018 (KID).
    """

    features: FeatureMap = PIXELS

    unit, better = "", "lower"

    def __call__(self, pictures: Pictures, captions: Sequence[str], real: Real) -> Measurement:
        samples = real.extractor(self.features)(pictures)
        return _of(
            kernel_distance(samples, real.features(self.features, "reference")), len(samples)
        )


@metrics.register("neighbour_ratio")
@dataclasses.dataclass(frozen=True)
class NeighbourRatio:
    """Median distance of samples to their nearest training picture over that of unseen pictures.

    1 is as new as unseen pictures are, 0 is a copy; above 1 samples are unlike any picture, as blur
    is too. The unseen ones have the samples' captions; the interval is a bootstrap's, over both.

    Attributes:
        features: what distances are measured on.

    Source: Meehan et al. 2020 (a non-parametric test to detect data-copying), section 2.
    """

    features: FeatureMap = PIXELS

    unit, better = "", "higher"

    def __call__(self, pictures: Pictures, captions: Sequence[str], real: Real) -> Measurement:
        ours = real.nearest(self.features, pictures)[:, 0]
        theirs = real.nearest(self.features, real.pictures)[:, 0]
        rng = np.random.default_rng(SEED)
        drawn = _medians(ours, rng) / _medians(theirs, rng)
        value = np.median(ours) / np.median(theirs)
        low, high = np.quantile(drawn, (0.025, 0.975))
        return Measurement(float(value), float(low), float(high), len(ours))


@metrics.register("copies")
@dataclasses.dataclass(frozen=True)
class Copies:
    """The share of samples whose nearest training picture is under a third as far as the second.

    Attributes:
        features: what distances are measured on.

    Source: Yoon et al. 2023 (diffusion models generalize when they fail to memorize), section 3.
    """

    features: FeatureMap = PIXELS

    unit, better = "%", "lower"

    def __call__(self, pictures: Pictures, captions: Sequence[str], real: Real) -> Measurement:
        nearest = real.nearest(self.features, pictures)
        copied = nearest[:, 0] < COPY * nearest[:, 1]
        return Measurement(*wilson(copied), len(copied))


def quality(
    pictures: Pictures,
    captions: Sequence[str],
    real: Real,
    specs: Iterable[str] = DEFAULT,
) -> Mapping[str, Measurement]:
    """Measures samples by each metric that the data set allows.

    Args:
        pictures: the samples.
        captions: what each was asked for.
        real: what they are held against.
        specs: of metrics, e.g. "frechet(features=random_convolutions)".

    Raises:
        UserError: a spec is wrong.

    >>> from diffusion_jax.data.dataset import datasets
    >>> real = Real(datasets.make("shapes(size=12, count=32, test_count=64)"), 16)
    >>> found = quality(real.pictures, real.captions, real, ("exact_match", "copies"))
    >>> [(name, each.value, each.count) for name, each in found.items()]
    [('exact_match', 1.0, 16), ('copies', 0.0, 16)]
    """
    found = {spec: metrics.make(spec)(pictures, captions, real) for spec in specs}
    return {spec: each for spec, each in found.items() if each is not None}


def floor(real: Real, specs: Iterable[str] = DEFAULT) -> Mapping[str, Measurement]:
    """What real pictures with the captions of the samples get, as a perfect model would."""
    return quality(real.pictures, real.captions, real, specs)


def _of(found: Distance, count: int) -> Measurement:
    spread = Z95 * found.standard_error
    return Measurement(found.value, found.value - spread, found.value + spread, count)


def _medians(values: Float[np.ndarray, "n"], rng: np.random.Generator) -> Float[np.ndarray, "_"]:
    return np.asarray(np.median(rng.choice(values, (RESAMPLED, len(values))), axis=1))
