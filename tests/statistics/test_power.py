"""Power: against the noncentral t, against simulated sweeps, and what cannot be asked."""

import math

import numpy as np
import pytest
from scipy import stats

from diffusion_jax.errors import UserError
from diffusion_jax.statistics.power import power, seed_deviation, smallest_difference
from diffusion_jax.statistics.simulation import Setting, rate


@pytest.mark.parametrize(("seeds", "difference"), [(3, 2.0), (5, 1.5), (10, 1.5)])
def test_two_arms_have_the_power_of_the_paired_t_test(seeds: int, difference: float) -> None:
    shift, quantile = difference * math.sqrt(seeds / 2), stats.t.ppf(0.975, seeds - 1)
    exact = stats.nct.sf(quantile, seeds - 1, shift) + stats.nct.cdf(-quantile, seeds - 1, shift)
    assert power(difference, 2, seeds) == pytest.approx(exact, abs=0.015)


@pytest.mark.parametrize(("arms", "seeds"), [(3, 4), (6, 3), (10, 5)])
def test_the_smallest_difference_is_found_as_often_as_said(arms: int, seeds: int) -> None:
    effect = smallest_difference(arms, seeds)
    found = rate("this rule", Setting(arms, seeds, effect=effect), 2000)
    assert found == pytest.approx(0.8, abs=4 * math.sqrt(0.16 / 2000))


def test_more_seeds_show_less_in_units_of_the_deviation() -> None:
    assert smallest_difference(6, 10) < smallest_difference(6, 3) < smallest_difference(6, 2)
    assert smallest_difference(6, 3, 0.5) == pytest.approx(0.5 * smallest_difference(6, 3))


def test_no_difference_is_found_at_most_at_the_level() -> None:
    assert 0 < power(0.0, 6, 3) < 0.05


def test_the_seed_deviation_leaves_out_what_arms_share() -> None:
    rng = np.random.default_rng(0)
    values = 0.2 * rng.normal(size=(20, 50)) + 9 * rng.normal(size=50) + rng.normal(size=(20, 1))
    assert seed_deviation(values) == pytest.approx(0.2, rel=0.05)


@pytest.mark.parametrize(("arms", "seeds", "deviation"), [(1, 3, 1.0), (3, 1, 1.0), (3, 3, 0.0)])
def test_what_has_no_power_is_refused(arms: int, seeds: int, deviation: float) -> None:
    with pytest.raises(UserError, match="at least two"):
        power(1.0, arms, seeds, deviation)
