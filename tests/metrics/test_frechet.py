"""The Fréchet distance against its formula with a matrix square root, and against chance."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from diffusion_jax.errors import UserError
from diffusion_jax.metrics.distance import distance_difference
from diffusion_jax.metrics.frechet import between, frechet_distance

DIM = 8


def normal(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    root = rng.normal(size=(DIM, DIM))
    return rng.normal(size=DIM), root @ root.T / DIM


def test_it_is_the_formula_with_the_root_of_a_product() -> None:
    rng = np.random.default_rng(0)
    (mean, covariance), (other_mean, other) = normal(rng), normal(rng)
    root = sqrtm(covariance @ other).real
    expected = np.sum((mean - other_mean) ** 2) + np.trace(covariance + other - 2 * root)
    found = between(mean, covariance, other_mean, other)
    assert found == pytest.approx(expected, rel=1e-9)
    assert found == pytest.approx(between(other_mean, other, mean, covariance), rel=1e-9)
    assert between(mean, covariance, mean, covariance) == pytest.approx(0, abs=1e-9)


def test_commuting_covariances_have_a_closed_form() -> None:
    rng = np.random.default_rng(1)
    axes, _ = np.linalg.qr(rng.normal(size=(DIM, DIM)))
    stds, others = rng.uniform(0, 2, size=(2, DIM))
    stds[:3] = 0  # of low rank
    first, second = ((axes * std**2) @ axes.T for std in (stds, others))
    zero = np.zeros(DIM)
    expected = np.sum((stds - others) ** 2)
    assert between(zero, first, zero, second) == pytest.approx(expected, rel=1e-6)


def test_the_plain_estimate_is_that_of_the_sets_moments() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(30, DIM)), 1 + rng.normal(size=(50, DIM))
    root = sqrtm(np.cov(x.T) @ np.cov(y.T)).real
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2)
    expected += np.trace(np.cov(x.T) + np.cov(y.T) - 2 * root)
    assert frechet_distance(x, y, extrapolated=False).value == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_extrapolation_takes_the_bias_away_and_the_error_is_honest(shift: float) -> None:
    rng = np.random.default_rng(3)
    scale = np.geomspace(1, 0.1, DIM)

    def draw(extrapolated: bool) -> tuple[float, float]:
        x = 1.2 * scale * rng.normal(size=(80, DIM)) + shift
        found = frechet_distance(x, scale * rng.normal(size=(120, DIM)), extrapolated)
        return found.value, found.standard_error

    exact = np.sum((0.2 * scale) ** 2) + DIM * shift**2
    plain = np.array([draw(False) for _ in range(200)])
    values, errors = np.array([draw(True) for _ in range(200)]).T
    uncertain = values.std() / np.sqrt(200)
    assert plain[:, 0].mean() > exact + 4 * uncertain
    assert values.mean() == pytest.approx(exact, abs=4 * uncertain)
    # To leading order; halving the sets adds to it where the distance is small.
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(values.std(), rel=0.35)


def test_paired_differences_are_sharper() -> None:
    rng = np.random.default_rng(4)
    data, x = rng.normal(size=(2, 400, DIM))
    other = x + 0.05 * rng.normal(size=x.shape)
    first, second = frechet_distance(x + 1, data), frechet_distance(other + 1, data)
    gap = distance_difference(first, second)
    apart = np.hypot(first.standard_error, second.standard_error)
    assert (gap.high - gap.low) / 2 < 0.2 * 1.96 * apart


def test_few_are_too_few() -> None:
    with pytest.raises(UserError, match="at least 4"):
        frechet_distance(np.zeros((3, 2)), np.zeros((9, 2)))
