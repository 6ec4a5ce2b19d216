"""Fréchet distance between two sets of features, each taken as normal.

    d² = |mu_1 - mu_2|² + tr(C_1 + C_2 - 2 (C_1 C_2)^(1/2)),

the squared distance of optimal transport between N(mu_1, C_1) and N(mu_2, C_2). On Inception's
features it is the FID; here it is on whatever features are handed over.

From finite sets it is too large: for sets of n and m by a/n + b/m, to leading order, as covariances
that are estimated differ. Twice the estimate less the mean of those of two halves of both sets is
without that term, so that figures of different sample counts may stand side by side, and chance may
take it below 0. With fewer than `PER_FEATURE` samples per feature the next terms count too, and it
comes out too small.

Its standard error comes from the influence of each sample x on it, which to leading order is
2 (mu_1 - mu_2)·u + u^T (1 - T) u less its mean, for u = x - mu_1 and T the linear map that carries
N(0, C_1) to N(0, C_2).

Source: Dowson & Landau 1982; Heusel et al. 2017 (FID); Chong & Forsyth 2020, section 3, for the
bias; Takatsu 2011 for T.
"""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from diffusion_jax.errors import UserError
from diffusion_jax.metrics.base import metrics, too_few
from diffusion_jax.metrics.distance import Distance, Features
from diffusion_jax.metrics.features import FeatureMap, Principal
from diffusion_jax.metrics.measurement import Measured, of_distance
from diffusion_jax.metrics.real import Pictures, Real

Matrix = Float[np.ndarray, "dim dim"]
LEAST = 4  # of either set, two in each half
PER_FEATURE = 4  # samples that the extrapolation wants
RANK = 1e-10  # eigenvalues below this share of the largest count as 0
PRINCIPAL = Principal()
MATRICES = 10  # of covariances, and made of them, at once


class FrechetDistance(Distance):
    """An estimated squared Fréchet distance."""


def frechet_distance(
    samples: Features, data: Features, extrapolated: bool = True
) -> FrechetDistance:
    """The squared Fréchet distance between two sets.

    Args:
        samples: (n, dim), n at least 4.
        data: (m, dim), m at least 4.
        extrapolated: to sets without end, which takes away the leading term of the bias; False is
            the plain estimate, the one that published FIDs are.

    Raises:
        UserError: fewer than four of either.

    >>> x, y = np.random.default_rng(0).normal(size=(2, 1000, 2)) + np.array([0, 3])[:, None, None]
    >>> 17 < frechet_distance(x, y).value < 19
    True
    """
    if min(len(samples), len(data)) < LEAST:
        raise UserError(f"a Fréchet distance needs at least {LEAST} samples and pictures of data.")
    value = between(*moments(samples), *moments(data))
    if extrapolated:
        halves = [between(*moments(samples[k::2]), *moments(data[k::2])) for k in (0, 1)]
        value = 2 * value - sum(halves) / 2
    return FrechetDistance(value, _influence(samples, data), _influence(data, samples))


def moments(x: Features) -> tuple[Float[np.ndarray, "dim"], Matrix]:
    """Mean and unbiased covariance."""
    return x.mean(axis=0), np.atleast_2d(np.cov(x, rowvar=False))


def between(
    mean: Float[np.ndarray, "dim"],
    covariance: Matrix,
    other_mean: Float[np.ndarray, "dim"],
    other_covariance: Matrix,
) -> float:
    """The squared distance of two normal distributions.

    >>> between(np.zeros(1), np.eye(1), np.ones(1), 4 * np.eye(1))
    2.0
    """
    # (C_1 C_2)^(1/2) has the trace of (R C_2 R)^(1/2), R² = C_1, which is symmetric.
    root = _power(covariance, 0.5)
    middle = np.linalg.eigvalsh(root @ other_covariance @ root)
    cross = np.sqrt(np.maximum(middle, 0)).sum()
    traces = np.trace(covariance) + np.trace(other_covariance)
    return float(np.sum((mean - other_mean) ** 2) + traces - 2 * cross)


def _power(matrix: Matrix, exponent: float) -> Matrix:
    """A power of a symmetric matrix, of its range alone where the exponent is negative."""
    values, vectors = np.linalg.eigh(matrix)
    kept = values > RANK * max(values.max(), 0)
    powers = np.where(kept, values, 1) ** exponent * kept
    return np.asarray((vectors * powers) @ vectors.T)


def _influence(x: Features, other: Features) -> Float[np.ndarray, "n"]:
    """Of each row of x on the distance, of mean 0."""
    (mean, covariance), (other_mean, other_covariance) = moments(x), moments(other)
    root, inverse = _power(covariance, 0.5), _power(covariance, -0.5)
    carry = inverse @ _power(root @ other_covariance @ root, 0.5) @ inverse
    u = x - mean
    values = 2 * u @ (mean - other_mean) + np.sum(u * (u - u @ carry), axis=1)
    return np.asarray(values - values.mean())


@metrics.register("frechet")
@dataclasses.dataclass(frozen=True)
class Frechet:
    """Squared Fréchet distance to test examples, on features that are not Inception's.

    d² = |mu_1 - mu_2|² + tr(C_1 + C_2 - 2 (C_1 C_2)^(1/2)). Extrapolated, it needs four samples
    and four test pictures per feature, and is not measured with fewer.

    Attributes:
        features: what pictures are compared by.
        extrapolated: without the leading bias of finite samples, see above.

    Source: Dowson & Landau 1982; Heusel et al. 2017 (FID); Chong & Forsyth 2020.
    """

    features: FeatureMap = PRINCIPAL
    extrapolated: bool = True

    formula: ClassVar[str] = "d² = |μ₁ − μ₂|² + tr(C₁ + C₂ − 2(C₁C₂)^½)"
    unit: ClassVar[str] = ""
    lower_is_better: ClassVar[bool] = True

    def needs(self, count: int, real: Real) -> str | None:
        wanted = PER_FEATURE * self.features.dim(real.data) if self.extrapolated else 0
        return too_few(count, real, max(wanted, LEAST), self.features)

    def __call__(self, pictures: Pictures, captions: Sequence[str], real: Real) -> Measured:
        samples = real.extractor(self.features)(pictures)
        reference = real.reference(self.features)
        return of_distance(frechet_distance(samples, reference, self.extrapolated), len(samples))
