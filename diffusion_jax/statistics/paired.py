"""Success rates, and differences between arms given the same captions and the same noise."""

import dataclasses
import math

import numpy as np
from jaxtyping import Bool
from scipy import special

from diffusion_jax.errors import UserError
from diffusion_jax.statistics.estimate import Z95


@dataclasses.dataclass(frozen=True)
class Difference:
    """A paired difference.

    Attributes:
        value: the first arm's measure minus the second's.
        low: lower end of the 95% interval.
        high: upper end.
        p_value: two-sided, of no difference; not adjusted for the number of comparisons.
    """

    value: float
    low: float
    high: float
    p_value: float


def rate_difference(first: Bool[np.ndarray, "n"], second: Bool[np.ndarray, "n"]) -> Difference:
    """Compares two success rates on the same n cases.

    Only the discordant cases tell the arms apart: b where the first alone is right, c where the
    second alone is. The p-value is McNemar's exact one (b of b + c under a fair coin); the
    interval is the adjusted Wald one, with one case added to b and to c and two to n.

    Args:
        first: whether the first arm is right, case by case.
        second: the same of the second arm.

    Raises:
        UserError: there are no cases, or different numbers of them.

    Source: McNemar 1947; Bonett & Price 2012 for the interval.

    >>> rate_difference(np.array([True, True, False, True]), np.array([True, False, False, True]))
    Difference(value=0.25, low=-0.38..., high=0.71..., p_value=1.0)
    """
    n = len(first)
    if n != len(second) or not n:
        raise UserError(f"Rates of {n} and {len(second)} cases are no pair.")
    b, c = int(np.sum(first & ~second)), int(np.sum(~first & second))
    p_value = min(2 * float(special.bdtr(min(b, c), b + c, 0.5)), 1.0)
    centre = (b - c) / (n + 2)
    spread = Z95 * math.sqrt(((b + c + 2) / (n + 2) - centre**2) / (n + 2))
    return Difference((b - c) / n, max(centre - spread, -1.0), min(centre + spread, 1.0), p_value)


def wilson(right: Bool[np.ndarray, "n"]) -> tuple[float, float, float]:
    """A success rate with Wilson's 95% interval: (rate, low, high).

    Raises:
        UserError: there are no cases.

    Source: Wilson 1927.

    >>> [round(value, 3) for value in wilson(np.arange(10) < 9)]
    [0.9, 0.596, 0.982]
    """
    if not len(right):
        raise UserError("There is no rate of no cases.")
    n, rate = len(right), float(right.mean())
    centre = (n * rate + Z95**2 / 2) / (n + Z95**2)
    reach = Z95 * math.sqrt(n * rate * (1 - rate) + Z95**2 / 4) / (n + Z95**2)
    # Ends that are 0 and 1 in exact arithmetic are so here.
    return rate, centre - reach if rate > 0 else 0.0, centre + reach if rate < 1 else 1.0


def reach(error: float, freedom: float) -> float:
    """Half the width of a 95% interval: Student's quantile times the standard error.

    Args:
        error: standard error of a mean.
        freedom: degrees of freedom that it was estimated with, n - 1 of n cases.

    Source: Student 1908.

    >>> [round(reach(1.0, freedom), 2) for freedom in (1, 2, 1000)]
    [12.71, 4.3, 1.96]
    """
    return float(-special.stdtrit(freedom, 0.025)) * error


def two_sided(value: float, error: float, freedom: float = math.inf) -> float:
    """The p-value of no difference for an estimate with a standard error, by Student's t."""
    if error == 0:
        return 1.0 if value == 0 else 0.0
    return 2 * float(special.stdtr(freedom, -abs(value) / error))
