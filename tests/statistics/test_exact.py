"""Exact intervals and tests: coverage summed over all outcomes, and orders counted one by one."""

import itertools

import numpy as np
import pytest
from scipy import stats

from diffusion_jax.errors import UserError
from diffusion_jax.statistics.exact import below_rank, clopper_pearson


@pytest.mark.parametrize(("hits", "count"), [(0, 1), (0, 40), (3, 40), (40, 40), (17, 1000)])
def test_interval_is_that_of_scipy(hits: int, count: int) -> None:
    expected = stats.binomtest(hits, count).proportion_ci(0.9, method="exact")
    np.testing.assert_allclose(clopper_pearson(hits, count, 0.9), expected)


@pytest.mark.parametrize("count", [1, 12, 50])
def test_interval_covers_every_share(count: int) -> None:
    ends = np.array([clopper_pearson(hits, count) for hits in range(count + 1)])
    for share in np.linspace(0.005, 0.995, 67):
        within = (ends[:, 0] <= share) & (share <= ends[:, 1])
        assert stats.binom.pmf(np.arange(count + 1), count, share)[within].sum() >= 0.95


@pytest.mark.parametrize(("count", "rank", "reference"), [(3, 1, 4), (4, 2, 3), (2, 5, 5)])
def test_order_is_that_of_all_orders(count: int, rank: int, reference: int) -> None:
    """Each way to place the new values among the known ones is as likely as any other."""
    places = list(itertools.combinations(range(count + reference), count))
    below = []
    for new in places:
        known = [place for place in range(count + reference) if place not in new]
        below.append(sum(place < known[rank - 1] for place in new))
    for hits in range(count + 1):
        expected = np.mean([each >= hits for each in below])
        assert below_rank(hits, count, rank, reference) == pytest.approx(expected)


def test_large_numbers_are_those_of_scipy() -> None:
    expected = stats.betabinom(1000, 10, 991).sf(24)
    assert below_rank(25, 1000, 10, 1000) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("hits", "count"), [(0, 0), (2, 1), (-1, 3)])
def test_shares_of_nothing_are_refused(hits: int, count: int) -> None:
    with pytest.raises(UserError, match="There is no share"):
        clopper_pearson(hits, count)
