"""Paired differences: intervals that cover, and p-values that keep their promise."""

import numpy as np
import pytest

from diffusion_jax.metrics.distance import distance_difference, kernel_distance
from diffusion_jax.statistics.estimate import mean_of
from diffusion_jax.statistics.paired import rate_difference, wilson


def test_mcnemar_on_a_published_table() -> None:
    """Agresti, Categorical Data Analysis, table 10.1: approval 944/1600 before, 880/1600 after."""
    first = np.repeat([True, True, False, False], [794, 150, 86, 570])
    second = np.repeat([True, False, True, False], [794, 150, 86, 570])
    result = rate_difference(first, second)
    assert result.value == pytest.approx(0.04)
    # The book's Wald interval is (0.020, 0.060), its z² = 17.36.
    assert result.low == pytest.approx(0.020, abs=2e-3)
    assert result.high == pytest.approx(0.060, abs=2e-3)
    assert 1e-5 < result.p_value < 1e-4


@pytest.mark.parametrize("n", [40, 400])
def test_equal_arms_are_called_different_no_more_often_than_stated(n: int) -> None:
    """Two noisy readings of the same cases: p < 0.05 in at most 5%, give or take chance."""
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(1000):
        difficulty = rng.uniform(0.5, 1.0, n)
        first, second = rng.uniform(size=(2, n)) < difficulty
        alarms += rate_difference(first, second).p_value < 0.05
    assert alarms <= 71  # 5% of 1000 with three standard errors above


def test_equal_distances_are_called_different_as_often_as_stated() -> None:
    """Arms of one quality, whose samples share a part: 5% of p-values are below 0.05."""
    rng = np.random.default_rng(1)
    alarms, trials = 0, 400
    for _ in range(trials):
        data, shared = rng.normal(size=(2, 150, 3))
        first, second = 0.5 + 0.8 * shared + 0.6 * rng.normal(size=(2, 150, 3))
        result = distance_difference(kernel_distance(first, data), kernel_distance(second, data))
        alarms += result.p_value < 0.05
    assert 0.02 * trials < alarms < 0.09 * trials


def test_pairing_narrows_the_interval() -> None:
    """Samples that are nearly the same tell apart what independent samples could not."""
    rng = np.random.default_rng(2)
    data, noise, other = rng.normal(size=(3, 200, 3))
    near = kernel_distance(noise + 0.3, data)
    paired = distance_difference(kernel_distance(noise + 0.35, data), near)
    unpaired = distance_difference(kernel_distance(other + 0.35, data), near)
    assert paired.p_value < 0.05 and paired.low > 0
    assert paired.high - paired.low < 0.5 * (unpaired.high - unpaired.low)


def test_intervals_cover_a_true_difference() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(1000):
        shared = rng.uniform(size=200)
        first, second = shared < 0.8, shared + rng.normal(scale=0.05, size=200) < 0.7
        covered += rate_difference(first, second).low <= 0.1 <= rate_difference(first, second).high
    assert covered >= 930


def test_no_discordant_case_is_no_evidence() -> None:
    same = np.array([True, False, True])
    result = rate_difference(same, same)
    assert result.value == 0 and result.p_value == 1 and result.low < 0 < result.high


@pytest.mark.parametrize("n", [2, 3, 5])
def test_intervals_of_means_of_few_cases_cover(n: int) -> None:
    rng = np.random.default_rng(3)
    covered, trials = 0, 1000
    for values in rng.normal(size=(trials, n)):
        _, low, high, *_ = mean_of(np.asarray(values, float)).parts
        assert low is not None and high is not None
        covered += low <= 0 <= high
    assert covered / trials == pytest.approx(0.95, abs=4 * (0.05 * 0.95 / trials) ** 0.5)


@pytest.mark.parametrize("n", [3, 5])
def test_distances_of_few_samples_are_not_called_different_too_often(n: int) -> None:
    """Means in one dimension differ as distances do, to first order."""
    rng = np.random.default_rng(4)
    alarms, trials = 0, 300
    for _ in range(trials):
        data = rng.normal(size=(60, 2))
        first, second = 1 + rng.normal(size=(2, n, 2))
        result = distance_difference(kernel_distance(first, data), kernel_distance(second, data))
        assert (result.p_value < 0.05) == (result.low > 0 or result.high < 0)
        alarms += result.p_value < 0.05
    assert alarms / trials <= 0.05 + 4 * (0.05 * 0.95 / trials) ** 0.5


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_rates_of_few_cases_are_covered(n: int, share: float) -> None:
    rng = np.random.default_rng(5)
    inside = paired = 0
    trials = 1000
    for first, second in rng.random((trials, 2, n)) < share:
        _, low, high = wilson(first)
        inside += low <= share <= high
        gap = rate_difference(first, second)
        paired += gap.low <= 0 <= gap.high
    assert inside / trials > 0.77  # Wilson's least at n = 2 and 3, whatever the share
    assert paired / trials >= 0.93
