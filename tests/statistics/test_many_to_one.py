"""Arms against a baseline over seeds: level, power, exact cases, invariances, guards."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from diffusion_jax.errors import UserError
from diffusion_jax.statistics import reference, simulation
from diffusion_jax.statistics.many_to_one import (
    Compared,
    compare,
    mean_over_seeds,
    means_over_seeds,
)
from diffusion_jax.statistics.scatter import scatter, stands_out
from diffusion_jax.statistics.simulation import Setting, rate

SWEEPS = 20_000


def rows(values: np.ndarray) -> dict[str, dict[int, float]]:
    return {f"arm {a}": dict(enumerate(row)) for a, row in enumerate(values.tolist())}


def against_first(values: np.ndarray, better: str = "lower") -> list[Compared]:
    return list(compare(rows(values), "arm 0", better).values())


@pytest.mark.parametrize("noise", ["normal", "t with 3 degrees of freedom"])
@pytest.mark.parametrize(("wide", "ratio"), [(0, 1.0), (0, 3.0), (1, 3.0)])
@pytest.mark.parametrize(("arms", "seeds"), [(3, 3), (6, 2), (6, 3), (10, 4)])
def test_equal_arms_are_called_different_in_no_more_than_six_percent(
    arms: int, seeds: int, noise: str, wide: int, ratio: float
) -> None:
    found = rate("this rule", Setting(arms, seeds, noise, wide, ratio), SWEEPS, seed=5)
    assert found <= 0.06 + 3 * math.sqrt(0.06 * 0.94 / SWEEPS)


@pytest.mark.parametrize(
    ("arms", "effect", "least"), [(5, 4.0, 0.80), (5, 2.0, 0.25), (6, 4.0, 0.80), (6, 2.0, 0.24)]
)
def test_differences_are_found_with_three_seeds(arms: int, effect: float, least: float) -> None:
    """With the baseline among the arms; of six, a quarter of the small ones is just not found."""
    found = rate("this rule", Setting(arms, 3, effect=effect), 100_000)
    assert found >= least - math.sqrt(least * (1 - least) / 100_000)
    assert found > 2.5 * rate("Bonferroni", Setting(arms, 3, effect=effect), SWEEPS)


@pytest.mark.parametrize(("arms", "seeds"), [(4, 2), (6, 3), (10, 5)])
def test_arms_that_scatter_three_times_as_much_are_not_beyond_doubt(arms: int, seeds: int) -> None:
    """Cochran's F is exact where the scatter is just that; ten times as much is seen."""
    three = simulation.draw(Setting(arms, seeds, wide=1, ratio=3.0), SWEEPS)
    assert stands_out(scatter(three), seeds).mean() <= 0.01
    wilder = simulation.draw(Setting(arms, seeds, wide=1, ratio=1e4), 200)
    assert stands_out(scatter(wilder), seeds).mean() > 0.95


def test_critical_values_do_not_depend_on_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Independent normal draws, many, give the chance of 0.0596 at the critical value."""
    critical = reference.reference(6, 5, 3, 5).critical
    scales = np.array([3.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    monkeypatch.setattr(reference, "GRID", np.array([critical]))
    normal = np.random.default_rng(0).normal(size=(30_000, 6, 3))
    _, (chance,) = reference._chances(normal * scales[:, None], scales, 5)
    assert chance == pytest.approx(0.0596, abs=0.002)


def test_the_simulation_judges_as_the_reports_do() -> None:
    """Sweeps without and with an arm whose scatter stands out, through the real entry point."""
    for ratio in (1.0, 30.0):
        values = simulation.draw(Setting(6, 3, wide=2, ratio=ratio, effect=5.0), 40)
        called = simulation.moderated(values)
        for sweep, table in zip(called, values, strict=True):
            verdicts = [one.verdict in ("better", "worse") for one in against_first(table)]
            assert verdicts == sweep.tolist()


def test_a_wild_arm_hides_nothing_of_the_others() -> None:
    setting = Setting(6, 5, wide=2, ratio=50.0, effect=4.0)
    assert rate("this rule", setting, 200) > 0.9 > 0.1 > rate("Dunnett", setting, 200)


@pytest.mark.parametrize("rule", ["Bonferroni", "Dunnett"])
def test_other_rules_have_their_published_level(rule: str) -> None:
    found = rate(rule, Setting(6, 4), SWEEPS)
    assert found == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / SWEEPS) + 0.01)


def test_dunnett_agrees_with_scipy() -> None:
    """Its quantile is where scipy's p-value is 0.05, in a layout of one factor."""
    rng = np.random.default_rng(0)
    arms = rng.normal(size=(4, 6))
    found = stats.dunnett(*arms[1:], control=arms[0], rng=np.random.default_rng(1))
    error = math.sqrt(arms.var(1, ddof=1).mean() * 2 / 6)
    half = (found.confidence_interval(0.95).high - found.confidence_interval(0.95).low) / 2
    assert half[0] / error == pytest.approx(simulation._dunnett_critical(3, 20), rel=5e-3)


@pytest.mark.parametrize("seeds", [2, 3, 8])
def test_two_arms_are_judged_by_the_paired_t_test(seeds: int) -> None:
    values = np.random.default_rng(2).normal(size=(2, seeds)) + [[0.0], [3.0]]
    (found,) = against_first(values)
    test = stats.ttest_rel(values[1], values[0])
    assert found.p_value == pytest.approx(test.pvalue, rel=1e-9)
    assert found.p_adjusted == pytest.approx(test.pvalue, rel=1e-9)
    ends = (found.difference.low, found.difference.high)
    assert ends == pytest.approx(tuple(test.confidence_interval(0.95)))


@pytest.mark.parametrize(("arms", "seeds"), [(2, 3), (4, 2), (6, 3), (12, 5), (61, 20)])
def test_interval_p_value_and_verdict_are_one_statement(arms: int, seeds: int) -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        values = rng.normal(size=(arms, seeds)) + rng.normal(size=(arms, 1)) * 3
        for one in against_first(values):
            assert one.p_value is not None and one.p_adjusted is not None
            called = one.verdict in ("better", "worse")
            assert called == one.difference.excludes_zero == (one.p_adjusted < 0.05)
            assert 0 <= one.p_value <= one.p_adjusted + 1e-12 <= 1 + 1e-12
            if called:
                assert (one.verdict == "better") == (one.difference.value < 0)


def test_units_order_and_names_change_nothing() -> None:
    values = np.random.default_rng(4).normal(size=(5, 3)) + np.arange(5)[:, None]
    plain = against_first(values)

    def same(other: list[Compared], factor: float = 1.0) -> None:
        for one, two in zip(plain, other, strict=True):
            assert two.p_adjusted == pytest.approx(one.p_adjusted, rel=1e-9)
            assert two.verdict == one.verdict
            assert one.difference.low is not None and two.difference.low is not None
            assert two.difference.low == pytest.approx(factor * one.difference.low)

    same(against_first(7 * values), 7.0)
    same(against_first(values + 100))
    same(against_first(values + 10 * np.arange(3)))  # what a seed gives to all arms
    same(against_first(values[:, ::-1]))
    shuffled = compare(dict(reversed(rows(values).items())), "arm 0", "lower")
    same([shuffled[f"arm {a}"] for a in range(1, 5)])
    mirrored = against_first(-values, "higher")
    assert [one.verdict for one in mirrored] == [one.verdict for one in plain]


def test_seeds_that_were_not_run_are_left_out_of_the_pairs() -> None:
    table = rows(np.random.default_rng(5).normal(size=(5, 4)))
    for seed in (2, 3):
        del table["arm 4"][seed]
    table["arm 3"][9] = 1e6  # a seed that the baseline has not
    found = compare(table, "arm 0", "lower")
    assert [found[f"arm {a}"].seeds for a in (1, 2, 3, 4)] == [4, 4, 4, 2]
    assert all(one.p_adjusted is not None for one in found.values())
    assert found["arm 4"].baseline.value == pytest.approx(
        np.mean([table["arm 0"][seed] for seed in (0, 1)])
    )


def test_missing_seeds_raise_no_false_alarms() -> None:
    rng, alarms, sweeps = np.random.default_rng(6), 0, 400
    for _ in range(sweeps):
        table = rows(rng.normal(size=(6, 3)))
        del table["arm 1"][0], table["arm 2"][0]
        verdicts = {one.verdict for one in compare(table, "arm 0", "lower").values()}
        alarms += bool(verdicts & {"better", "worse"})
    assert alarms / sweeps <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / sweeps)


def test_arms_that_are_one_another_tell_nothing_new_of_the_scatter() -> None:
    values = np.random.default_rng(7).normal(size=(4, 3)) + [[0], [4], [0], [0]]
    twice = np.concatenate([values, values[-1:]])
    one, two = against_first(values)[0], against_first(twice)[0]
    assert two.difference.error == pytest.approx(one.difference.error)
    again = compare({**rows(values), "copy": dict(enumerate(values[0]))}, "arm 0", "lower")
    assert again["copy"].verdict == "identical" and again["copy"].p_value is None
    assert (again["copy"].difference.low, again["copy"].difference.high) == (0, 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_differences_without_a_known_error_separate_nothing(
    dtype: type[np.floating],
) -> None:
    values = np.array([0.9, 0.8, 0.7], dtype)
    table = rows(np.array([values, values - dtype(0.1)]))
    found = compare(table, "arm 0", "lower")["arm 1"]
    assert found.verdict == "not separable" and found.p_value is None
    errors = {"arm 1": dict.fromkeys(range(3), 1e-4)}
    found = compare(table, "arm 0", "lower", difference_errors=errors)["arm 1"]
    assert found.verdict == "better"


def test_sampling_errors_keep_coarse_metrics_from_false_alarms() -> None:
    """Rates on 40 samples repeat themselves over two seeds."""
    rng, alarms, sweeps = np.random.default_rng(0), 0, 400
    for _ in range(sweeps):
        values = (rng.random((2, 2, 40)) < 0.97).mean(-1)
        errors = {"arm 1": dict.fromkeys(range(2), math.sqrt(2 * 0.97 * 0.03 / 40))}
        found = compare(rows(values), "arm 0", "higher", difference_errors=errors)["arm 1"]
        alarms += found.verdict in ("better", "worse")
    assert alarms / sweeps <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / sweeps)


def test_one_seed_never_names_a_winner() -> None:
    table = {"a": {7: 1.0}, "b": {7: 5.0}, "c": {7: 5.0}}
    found = compare(table, "a", "lower", difference_errors={"b": {7: 0.1}})
    assert {one.verdict for one in found.values()} == {"one seed: sampling error only"}
    reach = stats.norm.isf(0.05 / 4) * 0.1
    assert found["b"].difference.low == pytest.approx(4 - reach)
    assert found["c"].difference.low is None and found["c"].p_value is None


def test_a_diverged_seed_leaves_no_number_and_is_not_averaged_away() -> None:
    table = {
        "a": {0: 1.0, 1: 1.1, 2: 1.2},
        "b": {0: 0.1, 1: 0.21, 2: math.nan},
        "c": {0: 0.5, 1: 0.61, 2: 0.69},
        "never run": {},
    }
    found = compare(table, "a", "lower")
    for name in ("b", "never run"):
        assert found[name].verdict == "no number" and math.isnan(found[name].difference.value)
    assert found["c"].p_adjusted == found["c"].p_value  # it takes nothing from the others
    diverged = compare({**table, "a": {0: 1.0, 1: math.inf, 2: 1.0}}, "a", "lower")
    assert {one.verdict for one in diverged.values()} == {"no number"}


def test_more_seeds_narrow_intervals_and_more_arms_widen_them() -> None:
    def reach(arms: int, seeds: int) -> float:
        values = np.random.default_rng(8).normal(size=(40, arms, seeds))
        found = [against_first(table)[0].difference for table in values]
        return float(np.median([(one.high or 0) - (one.low or 0) for one in found]))

    widths = [reach(*shape) for shape in ((6, 8), (6, 4), (6, 3), (6, 2))]
    assert all(one < two for one, two in itertools.pairwise(widths))
    assert reach(3, 8) < reach(20, 8)


def test_a_direction_that_is_none_is_refused() -> None:
    with pytest.raises(UserError, match="smaller"):
        compare({"a": {0: 1.0}}, "a", "smaller")


def test_the_mean_of_an_arm_is_students() -> None:
    values = np.random.default_rng(9).normal(size=6)
    found = mean_over_seeds(values)
    ends = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(ends))
    assert found.count == 6 and found.value == pytest.approx(values.mean())
    assert math.isnan(mean_over_seeds(np.array([1.0, np.nan])).value)


def test_many_means_at_once_are_those_of_one_after_the_other() -> None:
    values = np.random.default_rng(10).normal(size=(4, 3))
    values[1] = 0.1  # no spread, so that nothing is known of the noise
    values[2, 1] = np.nan
    mean, _, reach = means_over_seeds(values)
    assert np.isnan(reach[1:3]).all() and np.isnan(mean[2])
    for row in (0, 3):
        one = mean_over_seeds(values[row])
        assert (one.low, one.high) == (mean[row] - reach[row], mean[row] + reach[row])
