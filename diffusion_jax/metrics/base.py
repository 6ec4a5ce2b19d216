"""How good samples are, by every measure that a config names, each with its interval and count.

A metric looks at pictures, at the captions they were asked for, and at real pictures of three
kinds: those that distances are measured to, those that have the very captions of the samples, and
those that were trained on. Real pictures with the captions of the samples, put in the place of
samples, give what a perfect model would get (`floor`).
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.errors import UserError
from diffusion_jax.metrics.features import FeatureMap
from diffusion_jax.metrics.measurement import Measured, NotMeasured
from diffusion_jax.metrics.real import REFERENCE, Pictures, Real, reference_count
from diffusion_jax.registry import Registry

DIFFERENT = "two different training examples are needed"


@runtime_checkable
class Metric(Protocol):
    """A measure of the quality of samples.

    Attributes:
        unit: of its values; "%" for shares from 0 to 1, "" for plain numbers.
        lower_is_better: in which direction they improve.
    """

    unit: ClassVar[str]
    lower_is_better: ClassVar[bool]

    def needs(self, count: int, real: Real) -> str | None:
        """What is missing to measure so many samples, as part of a sentence; None if nothing is.

        It may be asked before anything is trained: no samples are looked at, and of real pictures
        few.
        """
        ...

    def __call__(self, pictures: Pictures, captions: Sequence[str], real: Real) -> Measured:
        """Measures samples, if nothing is missing.

        Raises:
            NotMeasured: the pictures themselves do not allow it.
        """
        ...


metrics: Registry[Metric] = Registry("metric")
PARTS = ("unit", "lower_is_better", "needs")  # of a metric, besides its call
DEFAULT = ("exact_match", "frechet", "kernel", "neighbour_ratio", "copies")


def check_metric(metric: object) -> None:
    """Refuses what is no metric.

    Raises:
        UserError: it lacks something that a metric has.
    """
    lacking = [name for name in PARTS if not hasattr(metric, name)]
    if isinstance(metric, type):
        raise UserError(f"metric {metric.__name__} is a class: give {metric.__name__}(…).")
    if lacking or not callable(metric):
        raise UserError(
            f"{type(metric).__name__} is no metric: it has no {(*lacking, '__call__')[0]!r}, see "
            "dj.metrics.Metric."
        )


def measure(metric: Metric, pictures: Pictures, captions: Sequence[str], real: Real) -> Measured:
    """Measures samples.

    Args:
        metric: by which.
        pictures: the samples.
        captions: what each was asked for.
        real: what they are held against.

    Raises:
        NotMeasured: the data set, the pictures or so few samples do not allow it.
        UserError: the metric returns something else than a `Measured`.
    """
    missing = metric.needs(len(pictures), real)
    if missing:
        raise NotMeasured(missing)
    found = metric(pictures, captions, real)
    if not isinstance(found, Measured):
        raise UserError(
            f"metric {type(metric).__name__} must return a dj.metrics.Measured, such as "
            f"dj.metrics.mean(values) of a number per sample, not {type(found).__name__}."
        )
    if not np.isfinite([found.value, found.low or 0.0, found.high or 0.0]).all():
        raise NotMeasured("the result is not finite")
    return found


def quality(
    pictures: Pictures,
    captions: Sequence[str],
    real: Real,
    asked: Iterable[str] | Mapping[str, Metric] = DEFAULT,
) -> Mapping[str, Measured]:
    """Measures samples by each metric that the pictures allow; the others are left out.

    Args:
        pictures: the samples.
        captions: what each was asked for.
        real: what they are held against.
        asked: specs of metrics, e.g. "frechet(features=random_convolutions)", or name -> metric.

    Raises:
        UserError: a spec is wrong.

    >>> import diffusion_jax.metrics
    >>> from diffusion_jax.data.dataset import datasets
    >>> real = Real(datasets.make("shapes(size=12, count=32, test_count=64)"), 16)
    >>> found = quality(real.pictures, real.captions, real, ("exact_match", "copies"))
    >>> [(name, each.value, each.count) for name, each in found.items()]
    [('exact_match', 1.0, 16), ('copies', 0.0, 16)]
    """
    made = asked if isinstance(asked, Mapping) else {spec: metrics.make(spec) for spec in asked}
    found = {}
    for name, metric in made.items():
        with contextlib.suppress(NotMeasured):
            found[name] = measure(metric, pictures, captions, real)
    return found


def floor(
    real: Real, asked: Iterable[str] | Mapping[str, Metric] = DEFAULT
) -> Mapping[str, Measured]:
    """What real pictures with the captions of the samples get, as a perfect model would."""
    return quality(real.pictures, real.captions, real, asked)


def too_few(count: int, real: Real, least: int, features: FeatureMap) -> str | None:
    """Why a distance to test pictures cannot be measured, or None."""
    reference = reference_count(real.data)
    if count < least:
        return f"{least} samples are needed, and there are {count}"
    if reference < least:
        return (
            f"{least} test examples to measure distances to are needed, and there are {reference} "
            f"(half of {len(real.data.test)}, at most {REFERENCE:,})"
        )
    return unseen(features, real.data)


def unseen(features: FeatureMap, data: Dataset) -> str | None:
    """Why features see nothing in a data set, or None."""
    if getattr(features, "pictures_only", False) and not data.has_pictures:
        return f"the features are those of pictures, and the data set has {data.form}"
    return None if features.dim(data) else DIFFERENT
