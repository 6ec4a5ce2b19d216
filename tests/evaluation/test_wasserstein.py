"""The sliced Wasserstein distance against closed forms."""

import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.evaluation.wasserstein import floor, sliced_wasserstein


def test_a_shift_in_one_dimension_is_the_distance():
    x = np.random.default_rng(0).normal(size=(50, 1))
    assert sliced_wasserstein(x, x + 0.7, 3) == pytest.approx(0.7)


def test_shifted_gaussians():
    """E ⟨u, m⟩² = |m|² / d for a direction u uniform on the sphere, whatever the covariance."""
    rng = np.random.default_rng(0)
    shift = np.array([1.0, -2.0, 2.0, 0.0, 0.0])
    x, y = rng.normal(size=(2, 2000, 5))
    expected = np.linalg.norm(shift) / np.sqrt(5)
    assert sliced_wasserstein(x, y + shift, 2000) == pytest.approx(expected, rel=0.04)


def test_scaled_gaussians():
    """N(0, a² I) to N(0, b² I) is at |a - b| along every direction."""
    x, y = np.random.default_rng(0).normal(size=(2, 5000, 3))
    assert sliced_wasserstein(x, 1.5 * y) == pytest.approx(0.5, abs=0.04)


def test_equal_distributions_are_at_the_floor_and_others_above():
    rng = np.random.default_rng(0)
    real, more, other = (
        rng.normal(size=(2000, 6)),
        rng.normal(size=(1000, 6)),
        rng.laplace(size=(1000, 6)),
    )
    assert sliced_wasserstein(more, real[:1000]) == pytest.approx(floor(real), rel=0.2)
    assert sliced_wasserstein(other, real[:1000]) > 3 * floor(real)


def test_order_does_not_matter_and_nor_does_the_global_seed():
    x, y = np.random.default_rng(0).normal(size=(2, 30, 4))
    np.random.seed(0)  # noqa: NPY002
    first = sliced_wasserstein(x, y)
    np.random.seed(1)  # noqa: NPY002
    assert sliced_wasserstein(y[::-1], x) == pytest.approx(first)


def test_unequal_counts_are_refused():
    with pytest.raises(UserError, match=r"\(3, 2\) and \(4, 2\)"):
        sliced_wasserstein(np.zeros((3, 2)), np.zeros((4, 2)))
