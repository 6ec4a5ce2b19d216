"""A measured number, from the metric that measures it to the page that shows it."""

import dataclasses
import math

import numpy as np
from jaxtyping import Float
from scipy import special

Z95 = 1.959964  # two-sided 95% quantile of the standard normal distribution


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number with its 95% interval, which need not be symmetric about it.

    Attributes:
        value: the point estimate; NaN where there is no number.
        low: lower end of the interval, or None where no interval is known.
        high: upper end.
        count: what the number is a mean over (samples, pictures, training seeds), or None.
        error: standard error of `value`, or None.
    """

    value: float
    low: float | None = None
    high: float | None = None
    count: int | None = None
    error: float | None = None

    @staticmethod
    def of(
        value: float,
        low: float,
        high: float,
        count: int | None = None,
        error: float | None = None,
    ) -> "Estimate":
        """An estimate whose ends, and whose error, are None where they are not finite.

        >>> Estimate.of(1.0, float("-inf"), float("inf"), count=1)
        Estimate(value=1.0, low=None, high=None, count=1, error=None)
        """
        if not (math.isfinite(low) and math.isfinite(high)):
            return Estimate(value, count=count, error=_finite(error))
        return Estimate(value, low, high, count, _finite(error))

    @property
    def parts(self) -> tuple[float, float | None, float | None, int | None, float | None]:
        """Value, ends, count and error, of which another is made."""
        return self.value, self.low, self.high, self.count, self.error

    @property
    def excludes_zero(self) -> bool:
        """Whether an interval is known and lies on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def scaled(self, factor: float) -> "Estimate":
        """In another unit: every number but the count times a positive factor.

        >>> Estimate(0.25, 0.125, 0.5, 40).scaled(100.0)
        Estimate(value=25.0, low=12.5, high=50.0, count=40, error=None)
        """

        def times(number: float | None) -> float | None:
            return None if number is None else factor * number

        return Estimate(
            factor * self.value, times(self.low), times(self.high), self.count, times(self.error)
        )


def mean_of(values: Float[np.ndarray, "n"]) -> Estimate:
    """The mean of independent values with Student's 95% interval.

    There is no interval of one value, nor where some are not finite.

    Source: Student 1908.

    >>> mean_of(np.array([1.0, 2.0, 3.0])).high
    4.48...
    """
    mean, count = float(values.mean(dtype=np.float64)), len(values)
    if count < 2 or not np.isfinite(values).all():
        return Estimate(mean, count=count)
    error = float(values.std(ddof=1) / math.sqrt(count))
    reach = float(-special.stdtrit(count - 1, 0.025)) * error
    return Estimate(mean, mean - reach, mean + reach, count, error)


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
