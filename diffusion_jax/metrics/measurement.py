"""A measured number, what it is paired by, and the reason why there is none."""

import dataclasses
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from diffusion_jax.errors import UserError
from diffusion_jax.metrics.distance import Distance
from diffusion_jax.statistics.estimate import Z95, Estimate
from diffusion_jax.statistics.paired import (
    Difference,
    rate_difference,
    reach,
    two_sided,
    wilson,
)


class NotMeasured(UserError):
    """These pictures do not allow a measure; the message is the reason, a part of a sentence."""


@runtime_checkable
class Pairing(Protocol):
    """What each sample adds to a number, so that two arms are compared sample by sample."""

    def minus(self, other: "Pairing") -> Difference:
        """This arm's number minus the other's, whose sample i has the same caption and noise."""
        ...


@dataclasses.dataclass(frozen=True)
class Rate:
    """A share of samples.

    Attributes:
        right: (n,) which samples it counts.
    """

    right: Bool[np.ndarray, "n"]

    def minus(self, other: Pairing) -> Difference:
        """By McNemar's exact test."""
        assert isinstance(other, Rate), "of the same metric"
        return rate_difference(self.right, other.right)


@dataclasses.dataclass(frozen=True)
class Mean:
    """A mean over samples.

    Attributes:
        values: (n,) of each sample.
    """

    values: Float[np.ndarray, "n"]

    @property
    def error(self) -> float:
        """Its standard error."""
        return float(self.values.std(ddof=1) / len(self.values) ** 0.5)

    def minus(self, other: Pairing) -> Difference:
        """By Student's paired test."""
        assert isinstance(other, Mean), "of the same metric"
        found = Mean(self.values - other.values)
        value, freedom = float(found.values.mean()), len(found.values) - 1
        half = reach(found.error, freedom)
        return Difference(value, value - half, value + half, two_sided(value, found.error, freedom))


@dataclasses.dataclass(frozen=True)
class Measured(Estimate):
    """What a metric says of samples, with its 95% interval over draws of them.

    Attributes:
        pairing: how its difference from another arm is found sample by sample; None where it
            cannot be.
    """

    pairing: Pairing | None = dataclasses.field(default=None, compare=False, repr=False)


# Those that a sweep keeps; each is made of numbers and arrays.
PAIRINGS: dict[str, type[Rate | Mean | Distance]] = {
    "rate": Rate,
    "mean": Mean,
    "distance": Distance,
}


def measured(
    value: float, low: float, high: float, count: int, pairing: Pairing | None = None
) -> Measured:
    """A number whose error is that of a normal one with as wide an interval."""
    return Measured(value, low, high, count, (high - low) / (2 * Z95), pairing)


def share(counted: Bool[np.ndarray, "n"]) -> Measured:
    """The share of samples that are counted, with Wilson's interval."""
    return measured(*wilson(counted), len(counted), Rate(counted))


def of_distance(found: Distance, count: int) -> Measured:
    """A distance with Student's interval."""
    low, high = found.value - found.reach, found.value + found.reach
    return Measured(found.value, low, high, count, found.standard_error, found)


def mean(values: Float[np.ndarray, "n"]) -> Measured:
    """The mean of a number that each sample has, with Student's interval.

    There is no interval where all samples have the same number: it does not tell how it scatters.

    Args:
        values: of each sample, (n,).

    Raises:
        NotMeasured: there are fewer than two samples.

    Source: Student 1908.

    >>> found = mean(np.array([1.0, 2.0, 3.0]))
    >>> found.value, round(found.low, 2), round(found.high, 2)
    (2.0, -0.48, 4.48)
    """
    if len(values) < 2:
        raise NotMeasured(f"2 samples are needed, and there are {len(values)}")
    own = Mean(np.asarray(values, np.float64))
    value, half = float(own.values.mean()), reach(own.error, len(values) - 1)
    if not half:
        return Measured(value, count=len(values), pairing=own)
    return Measured(value, value - half, value + half, len(values), own.error, own)
