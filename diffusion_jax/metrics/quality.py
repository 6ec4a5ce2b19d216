"""How good samples are, by every measure that a config names, each with its interval and count.

A metric looks at pictures, at the captions they were asked for, and at real pictures of three
kinds: those that distances are measured to, those that have the very captions of the samples, and
those that were trained on. Real pictures with the captions of the samples, put in the place of
samples, give what a perfect model would get (`floor`).
"""

import contextlib
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.metrics import distance, frechet
from diffusion_jax.metrics.distance import Distance, kernel_distance
from diffusion_jax.metrics.features import FeatureMap, Pixels, Principal
from diffusion_jax.metrics.frechet import frechet_distance
from diffusion_jax.metrics.measurement import Measurement, NotMeasured
from diffusion_jax.metrics.neighbours import ALIKE, COPY
from diffusion_jax.metrics.real import REFERENCE, Pictures, Real, reference_count
from diffusion_jax.registry import Registry
from diffusion_jax.statistics.paired import Z95, wilson

RESAMPLED = 1000  # draws of a bootstrap
SEED = 0  # of the bootstrap
ENDLESS = 0.02  # share of its draws that may have no end, beyond that of the 95% interval
DIFFERENT = "two different training pictures are needed"
PIXELS, PRINCIPAL = Pixels(), Principal()


@runtime_checkable
class Metric(Protocol):
    """A measure of the quality of samples.

    `unit` is what its values are in, "%" for shares from 0 to 1, "" for plain numbers, and
    `better` says in which direction they improve.
    """

    unit: ClassVar[str]
    better: ClassVar[Literal["higher", "lower"]]

    def needs(self, count: int, real: Real) -> str | None:
        """What is missing to measure so many samples, as part of a sentence; None if nothing is.

        It may be asked before anything is trained: no samples are looked at, and of real pictures
        few.
        """
        ...

    def __call__(self, pictures: Pictures, captions: Sequence[str], real: Real) -> Measurement:
        """Measures samples, if nothing is missing.

        Raises:
            NotMeasured: the pictures themselves do not allow it.
        """
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

    def needs(self, count: int, real: Real) -> str | None:
        return None if real.data.check else "the data set has no checker"

    def __call__(self, pictures: Pictures, captions: Sequence[str], real: Real) -> Measurement:
        if real.data.check is None:
            raise NotMeasured("the data set has no checker")
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

    def needs(self, count: int, real: Real) -> str | None:
        wanted = frechet.PER_FEATURE * self.features.dim(real.data) if self.extrapolated else 0
        return _too_few(count, real, max(wanted, frechet.LEAST), self.features)

    def __call__(self, pictures: Pictures, captions: Sequence[str], real: Real) -> Measurement:
        samples = real.extractor(self.features)(pictures)
        reference = real.reference(self.features)
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

    def needs(self, count: int, real: Real) -> str | None:
        return _too_few(count, real, distance.LEAST, self.features)

    def __call__(self, pictures: Pictures, captions: Sequence[str], real: Real) -> Measurement:
        samples = real.extractor(self.features)(pictures)
        return _of(kernel_distance(samples, real.reference(self.features)), len(samples))


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

    def needs(self, count: int, real: Real) -> str | None:
        if count < distance.LEAST:
            return f"{count} sample has no median with an interval: {distance.LEAST} are needed"
        if len(real.data.test) - reference_count(real.data) < distance.LEAST:
            return f"{distance.LEAST} test pictures with captions of samples are needed"
        return _unseen(self.features, real.data)

    def __call__(self, pictures: Pictures, captions: Sequence[str], real: Real) -> Measurement:
        ours = real.nearest(self.features, pictures).distance
        theirs = real.nearest(self.features, real.pictures).distance
        rng = np.random.default_rng(SEED)
        above, below = _medians(ours, rng), _medians(theirs, rng)
        if not np.median(theirs) or (below == 0).mean() > ENDLESS:
            raise NotMeasured(
                f"of {len(theirs)} test pictures with the samples' captions, "
                f"{int((theirs == 0).sum())} are training pictures, so that there is no distance "
                "of unseen ones"
            )
        drawn = np.where(below > 0, above / np.where(below > 0, below, 1), np.inf)
        low, high = np.quantile(drawn, (0.025, 0.975))
        value = np.median(ours) / np.median(theirs)
        return Measurement(float(value), float(low), float(high), len(ours))


@metrics.register("copies")
@dataclasses.dataclass(frozen=True)
class Copies:
    """The share of samples whose nearest training picture is under a third as far as the next one.

    Pictures that the training set has several times are one, see `evaluation.neighbours.ALIKE`.

    Attributes:
        features: what distances are measured on.

    Source: Yoon et al. 2023 (diffusion models generalize when they fail to memorize), section 3.
    """

    features: FeatureMap = PIXELS

    unit, better = "%", "lower"

    def needs(self, count: int, real: Real) -> str | None:
        if not real.data.has_pictures:
            return f"what a copy is, is known of pictures, and the data set has {real.data.form}"
        if unseen := _unseen(self.features, real.data):
            return unseen
        if real.train_count < 2:
            return DIFFERENT
        if real.train_is_one_picture:
            return f"{DIFFERENT}, by more than {ALIKE:g} values of a byte"
        return None

    def __call__(self, pictures: Pictures, captions: Sequence[str], real: Real) -> Measurement:
        nearest = real.nearest(self.features, pictures).distance
        other = real.nearest_other(self.features, pictures)
        if not np.isfinite(other).all():
            raise NotMeasured(f"{DIFFERENT}, by more than {ALIKE:g} values of a byte")
        copied = nearest < COPY * other
        return Measurement(*wilson(copied), len(copied))


def measure(metric: Metric, pictures: Pictures, captions: Sequence[str], real: Real) -> Measurement:
    """Measures samples.

    Args:
        metric: by which.
        pictures: the samples.
        captions: what each was asked for.
        real: what they are held against.

    Raises:
        NotMeasured: the data set, the pictures or so few samples do not allow it.
    """
    missing = metric.needs(len(pictures), real)
    if missing:
        raise NotMeasured(missing)
    found = metric(pictures, captions, real)
    if not np.isfinite([found.value, found.low, found.high]).all():
        raise NotMeasured("the result is not finite")
    return found


def quality(
    pictures: Pictures,
    captions: Sequence[str],
    real: Real,
    specs: Iterable[str] = DEFAULT,
) -> Mapping[str, Measurement]:
    """Measures samples by each metric that the pictures allow; the others are left out.

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
    found = {}
    for spec in specs:
        with contextlib.suppress(NotMeasured):
            found[spec] = measure(metrics.make(spec), pictures, captions, real)
    return found


def floor(real: Real, specs: Iterable[str] = DEFAULT) -> Mapping[str, Measurement]:
    """What real pictures with the captions of the samples get, as a perfect model would."""
    return quality(real.pictures, real.captions, real, specs)


def _too_few(count: int, real: Real, least: int, features: FeatureMap) -> str | None:
    """Why a distance to test pictures cannot be measured, or None."""
    reference = reference_count(real.data)
    if count < least:
        return f"{least} samples are needed, and there are {count}"
    if reference < least:
        return (
            f"{least} test pictures to measure distances to are needed, and there are {reference} "
            f"(half of {len(real.data.test)}, at most {REFERENCE:,})"
        )
    return _unseen(features, real.data)


def _unseen(features: FeatureMap, data: Dataset) -> str | None:
    """Why features see nothing in a data set, or None."""
    if getattr(features, "pictures_only", False) and not data.has_pictures:
        return f"the features are those of pictures, and the data set has {data.form}"
    return None if features.dim(data) else DIFFERENT


def _of(found: Distance, count: int) -> Measurement:
    spread = Z95 * found.standard_error
    return Measurement(found.value, found.value - spread, found.value + spread, count)


def _medians(values: Float[np.ndarray, "n"], rng: np.random.Generator) -> Float[np.ndarray, "_"]:
    return np.asarray(np.median(rng.choice(values, (RESAMPLED, len(values))), axis=1))
