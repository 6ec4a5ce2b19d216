"""Distances between sets of features, how two arms' are compared; kernel distance.

The squared maximum mean discrepancy with the cubic kernel of the Kernel Inception Distance,
k(x, y) = (x·y/d + 1)³ of d features. Its unbiased estimate

    mean_{i≠j} k(x_i, x_j) + mean_{m≠l} k(y_m, y_l) - 2 mean_{i,m} k(x_i, y_m)

has expectation 0 for samples of the data's own distribution at any sample count, so numbers with
different counts may stand side by side, and it may be below 0 by chance. It sees means, variances
and third moments of the features. It is no FID.

Its standard error comes from the influence that each sample has on it (the first-order term of
Hoeffding's decomposition of a U-statistic). For two arms that drew sample i from the same noise
and caption, the influences are subtracted sample by sample, so what they share cancels.

Source: Gretton et al. 2012, eq. 3 (MMD); Bińkowski et al. 2018 (KID), section 4.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from diffusion_jax.data.example import to_unit
from diffusion_jax.errors import UserError
from diffusion_jax.statistics.paired import Difference, reach, two_sided

Features = Float[np.ndarray, "_ dim"]
LEAST = 3  # of either set: of two, the kernel between them scatters, and nothing tells how much
TABLE = 2**22  # kernels of pairs held at once, 32 MiB


@dataclasses.dataclass(frozen=True)
class Distance:
    """An estimated squared distance and where it comes from.

    Attributes:
        value: the estimate of the squared distance.
        sample_influence: (n,) of each sample, of mean about 0.
        data_influence: (m,) of each data point.
    """

    value: float
    sample_influence: Float[np.ndarray, "n"]
    data_influence: Float[np.ndarray, "m"]

    @property
    def standard_error(self) -> float:
        """Of `value`, over draws of both samples and data."""
        return _error(self.sample_influence, self.data_influence)[0]

    @property
    def reach(self) -> float:
        """Half the width of the 95% interval of `value`, wide where samples or data are few."""
        return reach(*_error(self.sample_influence, self.data_influence))

    def minus(self, other: Any) -> Difference:
        """This arm's distance minus another's, whose influences are subtracted pair by pair."""
        return distance_difference(self, other)


class KernelDistance(Distance):
    """An unbiased estimate of the squared kernel distance."""


def kernel(x: Features, y: Features) -> Float[np.ndarray, "n m"]:
    """(x·y/d + 1)³ for every pair of rows."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def features(pictures: Shaped[np.ndarray, "count ..."]) -> Features:
    """Pixel values in [-1, 1], or the numbers of vectors, (count, dim) float64."""
    return to_unit(pictures).reshape(len(pictures), -1).astype(np.float64)


def kernel_distance(samples: Features, data: Features) -> KernelDistance:
    """The unbiased squared kernel distance between two sets.

    Pairs are looked at in blocks: memory beyond the features is a few times `TABLE` numbers.

    Args:
        samples: (n, dim), n at least 3.
        data: (m, dim), m at least 3.

    Raises:
        UserError: fewer than three of either.

    >>> rng = np.random.default_rng(0)
    >>> x, y, far = rng.normal(size=(3, 500, 4)) + np.array([0, 0, 1])[:, None, None]
    >>> abs(kernel_distance(x, y).value) < 0.1 < kernel_distance(x, far).value
    True
    """
    if min(len(samples), len(data)) < LEAST:
        raise UserError(
            f"a kernel distance needs at least {LEAST} samples and {LEAST} pictures of the data."
        )
    within_samples, within_data = _others(samples), _others(data)
    of_samples, of_data = _across(samples, data)
    value = within_samples.mean() + within_data.mean() - 2 * of_samples.mean()
    return KernelDistance(
        float(value),
        _centred(2 * within_samples - 2 * of_samples),
        _centred(2 * within_data - 2 * of_data),
    )


def distance_difference(first: Distance, second: Distance) -> Difference:
    """Compares the distances of two arms, paired sample by sample, to the same data.

    Args:
        first: of n samples.
        second: of n samples drawn from the same noise and captions in the same order.

    Raises:
        UserError: they are of different numbers of samples or of data.
    """
    pairs = (
        (first.sample_influence, second.sample_influence, "samples"),
        (first.data_influence, second.data_influence, "pictures of the data"),
    )
    for one, other, what in pairs:
        if len(one) != len(other):
            raise UserError(f"Distances of {len(one)} and {len(other)} {what} are no pair.")
    value = first.value - second.value
    error, freedom = _error(
        first.sample_influence - second.sample_influence,
        first.data_influence - second.data_influence,
    )
    half = reach(error, freedom)
    return Difference(value, value - half, value + half, two_sided(value, error, freedom))


def _blocks(rows: int, columns: int) -> Iterator[slice]:
    """Rows of a table of which about `TABLE` values are held at once."""
    size = max(TABLE // max(columns, 1), 1)
    return (slice(start, start + size) for start in range(0, rows, size))


def _others(x: Features) -> Float[np.ndarray, "n"]:
    """The mean kernel of each row with all the others."""
    found = np.empty(len(x))
    for block in _blocks(len(x), len(x)):
        table = kernel(x[block], x)
        found[block] = table.sum(axis=1) - np.diag(table, block.start)
    return found / (len(x) - 1)


def _across(x: Features, y: Features) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "m"]]:
    """The mean kernel of each row of x with all of y, and of each of y with all of x."""
    own, theirs = np.empty(len(x)), np.zeros(len(y))
    for block in _blocks(len(x), len(y)):
        table = kernel(x[block], y)
        own[block] = table.mean(axis=1)
        theirs += table.sum(axis=0)
    return own, theirs / len(x)


def _centred(values: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    return values - values.mean()


def _error(samples: Float[np.ndarray, "n"], data: Float[np.ndarray, "m"]) -> tuple[float, float]:
    """The standard error and its degrees of freedom: those of the smaller set, to be safe."""
    error = math.sqrt(samples.var(ddof=1) / len(samples) + data.var(ddof=1) / len(data))
    return error, min(len(samples), len(data)) - 1
