"""Comparisons over training seeds: A/A tests by simulation, power, and the cases at the edge."""

import math

import numpy as np
import pytest
from scipy import stats

from diffusion_jax.errors import UserError
from diffusion_jax.statistics import replicates
from diffusion_jax.statistics.replicates import compare, critical, mean_interval

SWEEPS = 2000
NOISE = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "heavy tails": lambda rng, shape: rng.standard_t(2, size=shape),
    "skewed": lambda rng, shape: rng.exponential(size=shape) ** 2,
}


def false_alarm_rate(noise: str, seeds: int, arms: int) -> float:
    """How often a sweep in which no arm differs calls any arm different."""
    rng = np.random.default_rng(seeds + 100 * arms)
    together = NOISE[noise](rng, (SWEEPS, 1, seeds))  # what the seed does to all arms alike
    own = NOISE[noise](rng, (SWEEPS, arms + 1, seeds))
    values = 3 * together + own
    found = mean_interval(values[:, 1:] - values[:, :1], comparisons=arms)
    called = found.p_adjusted < replicates.LEVEL
    excluded = (found.low > 0) | (found.high < 0)
    np.testing.assert_array_equal(called, excluded)  # verdict and interval are one statement
    return called.any(-1).mean()


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
@pytest.mark.parametrize("arms", [1, 7, 59])
def test_arms_that_do_not_differ_are_called_different_no_more_often_than_stated(
    noise: str, seeds: int, arms: int
) -> None:
    rate, error = false_alarm_rate(noise, seeds, arms), math.sqrt(0.05 * 0.95 / SWEEPS)
    assert rate <= 0.05 + 3 * error
    if noise == "normal" and arms == 1:
        assert rate >= 0.05 - 3 * error  # the level is exact, not merely safe


@pytest.mark.parametrize("seeds", [2, 5])
def test_rates_on_few_samples_are_judged_by_their_sampling_error_too(seeds: int) -> None:
    """Counts of 40 repeat themselves: without the errors, equal differences have no spread."""
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(400):
        right = rng.random((2, seeds, 40)) < 0.97
        values, errors = right.mean(-1), np.sqrt(np.full(seeds, 2 * 0.97 * 0.03 / 40))
        row = lambda numbers: dict(enumerate(numbers.tolist()))  # noqa: E731
        rows = {"base": row(values[0]), "again": row(values[1])}
        found = compare(rows, "base", "higher", difference_errors={"again": row(errors)})
        alarms += found["again"].verdict in (replicates.BETTER, replicates.WORSE)
    assert alarms / 400 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


@pytest.mark.parametrize(("seeds", "arms", "effect"), [(3, 1, 6.0), (5, 7, 5.0), (10, 59, 3.0)])
def test_a_real_effect_is_found(seeds: int, arms: int, effect: float) -> None:
    """One arm lies `effect` standard deviations of the differences below the baseline."""
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(20):
        noise = rng.normal(size=(arms + 1, seeds)) / math.sqrt(2)
        noise[1] -= effect
        values = {f"arm {i}": dict(enumerate(row)) for i, row in enumerate(noise.tolist())}
        found += compare(values, "arm 0", "lower")["arm 1"].verdict == replicates.BETTER
    assert found > 16


def test_numbers_are_those_of_the_paired_t_test() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=(4, 6))
    rows = {name: dict(enumerate(row)) for name, row in zip("abcd", values.tolist(), strict=True)}
    found = compare(rows, "a", "lower")
    for index, name in enumerate("bcd", start=1):
        test = stats.ttest_rel(values[index], values[0])
        assert found[name].p_value == pytest.approx(test.pvalue, rel=1e-12)
        assert found[name].p_adjusted == pytest.approx(min(1, 3 * test.pvalue), rel=1e-12)
        ends = test.confidence_interval(1 - 0.05 / 3)
        assert (found[name].diff_low, found[name].diff_high) == pytest.approx(tuple(ends))
        own = stats.ttest_1samp(values[index], 0).confidence_interval(0.95)
        assert (found[name].low, found[name].high) == pytest.approx(tuple(own))


@pytest.mark.parametrize(("better", "verdict"), [("lower", "worse"), ("higher", "better")])
def test_the_metric_says_which_way_is_better(better: str, verdict: str) -> None:
    rows = {"a": {0: 1.0, 1: 2.0, 2: 3.0}, "b": {0: 2.0, 1: 3.01, 2: 4.02}}
    assert compare(rows, "a", better)["b"].verdict == verdict


def test_the_same_numbers_are_identical() -> None:
    rows = {"a": {0: 1.0, 1: 2.0}, "again": {0: 1.0, 1: 2.0}}
    found = compare(rows, "a", "lower")["again"]
    assert found.verdict == "identical"
    assert (found.difference, found.diff_low, found.diff_high, found.p_value) == (0, 0, 0, None)


@pytest.mark.parametrize("offset", [1 / 120, 0.1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_differences_without_a_known_error_separate_nothing(
    offset: float, dtype: type[np.floating]
) -> None:
    values = np.array([0.9, 0.8, 0.7], dtype)
    rows = {
        "a": dict(enumerate(values.tolist())),
        "b": dict(enumerate((values - dtype(offset)).tolist())),
    }
    found = compare(rows, "a", "lower")["b"]
    assert found.verdict == "not separable" and found.p_value is None and found.diff_low is None
    told = compare(rows, "a", "lower", difference_errors={"b": dict.fromkeys(range(3), 1e-4)})["b"]
    assert told.verdict == "better"


def test_one_seed_never_names_a_winner() -> None:
    rows = {"a": {7: 1.0}, "b": {7: 5.0}, "c": {7: 5.0}}
    found = compare(rows, "a", "lower", difference_errors={"b": {7: 0.1}})
    assert found["b"].verdict == found["c"].verdict == "one seed: sampling error only"
    reach = stats.norm.isf(0.05 / 4) * 0.1
    assert found["b"].diff_low == pytest.approx(4 - reach)
    assert found["c"].diff_low is None and found["c"].p_value is None


def test_a_diverged_seed_leaves_no_number_and_is_not_averaged_away() -> None:
    rows = {
        "a": {0: 1.0, 1: 1.1, 2: 1.2},
        "b": {0: 0.1, 1: 0.21, 2: math.nan},
        "c": {0: 0.5, 1: 0.61, 2: 0.69},
        "never run": {},
    }
    found = compare(rows, "a", "lower")
    for name in ("b", "never run"):
        assert found[name].verdict == "no number"
        assert math.isnan(found[name].mean) and math.isnan(found[name].difference)
    # It was no test, so it takes nothing from the others.
    assert found["c"].p_adjusted == found["c"].p_value
    diverged = compare({**rows, "a": {0: 1.0, 1: math.inf, 2: 1.0}}, "a", "lower")
    assert {one.verdict for one in diverged.values()} == {"no number"}


def test_seeds_that_were_not_run_are_left_out_of_the_pairs() -> None:
    rows = {"a": {0: 1.0, 1: 1.1, 2: 9.0}, "b": {1: 1.2, 0: 1.3, 5: 100.0}}
    found = compare(rows, "a", "lower")["b"]
    assert (found.seeds, found.mean, found.baseline_mean) == (2, 1.25, 1.05)


def test_more_seeds_need_less_and_more_arms_need_more() -> None:
    assert critical(2) > critical(3) > critical(10)
    assert critical(5, 59) > critical(5, 7) > critical(5)
    assert critical(1) == pytest.approx(stats.norm.isf(0.025))


def test_a_direction_that_is_none_is_refused() -> None:
    with pytest.raises(UserError, match="smaller"):
        compare({"a": {0: 1.0}}, "a", "smaller")
