"""The first paragraph says what the measurements allow, and no more."""

import dataclasses

import pytest

from diffusion_jax.reports import verdict
from diffusion_jax.reports.comparisons import compare, in_percent
from diffusion_jax.reports.content import Report, ReportArm
from diffusion_jax.reports.rows import Criterion, Measurement, ReportMetric
from diffusion_jax.statistics.estimate import Estimate
from tests.reports import made_up_sweep

LOSS = ReportMetric("loss", "Loss", "lower", "nats")


def judged(values: dict[str, tuple[float, ...]], error: float | None = None) -> Report:
    """A sweep of these arms and seeds; the first is the baseline."""
    names = list(values)
    table = tuple(
        Measurement(
            value,
            count=100,
            error=error,
            arm=arm,
            seed=seed,
            sampling=None,
            metric="loss",
            difference_error=error,
        )
        for arm, row in values.items()
        for seed, value in enumerate(row)
    )
    return dataclasses.replace(
        made_up_sweep.report(arms=1),
        arms=tuple(ReportArm(name) for name in names),
        baseline=names[0],
        seeds=tuple(range(len(values[names[0]]))),
        metrics=(LOSS,),
        judged_by=Criterion("loss"),
        measurements=table,
        comparisons=compare(table, (LOSS,), names[0]),
        bin_losses=(),
        curves=(),
    )


BASE = (1.0, 1.1, 1.2, 1.3)


def moved(by: float, noise: float = 0.001) -> tuple[float, ...]:
    return tuple(v + by + noise * (-1) ** i * (1 + i) for i, v in enumerate(BASE))


def test_better_worse_open_and_identical_are_told_apart() -> None:
    rows = {"base": BASE, "down": moved(-0.5), "up": moved(0.5), "near": moved(0.001), "twin": BASE}
    said = verdict.judge(judged(rows)).lead
    better, rest = said.split("Worse than it:")
    worse, rest = rest.split("Not separable from it:")
    near, twin = rest.split("Identical to it, number by number:")
    assert better.startswith("Better than the baseline base (Loss 1.15 nats): down, −0.50")
    assert "up, +0.499" in worse and "near" in near and "twin" in twin


def test_noise_names_no_winner() -> None:
    found = verdict.judge(judged({"base": BASE, "a": moved(-0.01, 0.05)}))
    assert found.lead.startswith("No winner: the measurements cannot separate a from")
    assert "1 arm was compared" in found.details[1]
    assert "adjusted for that number and hold for all at once" in found.details[1]


def test_many_comparisons_need_more_than_one_does() -> None:
    """p = 0.02 stands out alone, not among seven."""
    rows = {
        "base": BASE,
        "a": tuple(v - d for v, d in zip(BASE, (0.1, 0.2, 0.1, 0.25), strict=True)),
    }
    assert verdict.judge(judged(rows)).lead.startswith("Better")
    rows |= {f"other {i}": moved(0.01 * i, 0.05) for i in range(6)}
    found = verdict.judge(judged(rows))
    assert found.lead.startswith("No winner") and "7 arms were compared" in found.details[1]


def test_one_seed_tells_of_sampling_error_only() -> None:
    rows = {"base": (1.0,), "far": (3.0,), "near": (1.01,)}
    said = verdict.judge(judged(rows, error=0.1))
    assert said.lead.startswith("No winner can be named: far and near share one training seed")
    assert "another seed may change" in said.lead and "lies far, +2.00" in said.lead
    assert "not about other trainings" in said.details[1]
    assert "lies none" in verdict.judge(judged(rows)).lead


def test_what_did_not_run_whole_comes_first() -> None:
    made = judged({"base": BASE, "a": moved(0.5), "b": (1.0, float("nan"), 1.0, 1.0)})
    arms = (*made.arms[:2], dataclasses.replace(made.arms[2], status="seed 1 diverged at step 9"))
    found = verdict.judge(dataclasses.replace(made, arms=arms))
    assert found.warning == "1 arm of 3 did not run whole: b (seed 1 diverged at step 9)."
    assert "b" not in found.lead.replace("base", "").replace("number", "").split()
    assert "Without a number: b." in verdict.judge(made).lead


def test_what_was_not_judged_is_a_lead_not_a_finding() -> None:
    made = made_up_sweep.report(arms=3, seeds=5)
    last = verdict.judge(made).details[-1]
    assert "18 more combinations" in last and "leads to follow" in last


@pytest.mark.parametrize("count", [9, 40])
def test_long_lists_are_counted(count: int) -> None:
    rows = {"base": BASE} | {f"a{i}": moved(0.01, 0.05) for i in range(count)}
    assert f"cannot separate {count} arms from" in verdict.judge(judged(rows)).lead


def test_one_arm_is_nothing_to_compare() -> None:
    said = verdict.judge(judged({"base": BASE})).lead
    assert said.startswith("One arm was measured: base") and "nothing to compare" in said


def test_several_winners_are_not_ranked() -> None:
    rows = {"base": BASE, "a": moved(-0.5), "b": moved(-0.6)}
    details = verdict.judge(judged(rows)).details
    assert any("which of the better ones is best is left open" in line for line in details)


def test_what_a_perfect_model_would_get_is_told() -> None:
    made = judged({"base": BASE, "a": moved(-0.5)})
    metric = dataclasses.replace(LOSS, floor=Estimate(0.25))
    details = verdict.judge(dataclasses.replace(made, metrics=(metric,))).details
    assert any("Real examples with the same captions get 0.250" in line for line in details)


def test_where_no_arm_has_a_number_that_is_said() -> None:
    lost = float("nan")
    said = verdict.judge(judged({"base": (lost, 1.0), "a": (lost, lost)})).lead
    assert said == "No arm has a number where arms are judged."


def test_warnings_come_before_what_became_of_arms() -> None:
    made = dataclasses.replace(judged({"base": BASE, "a": moved(0.5)}), warnings=("Mind this.",))
    assert verdict.judge(made).warning == "Mind this."


def test_a_baseline_without_a_number_is_told() -> None:
    lost = float("nan")
    said = verdict.judge(judged({"base": (1.0, lost), "a": (1.0, 2.0)})).lead
    assert said == "The baseline base has no number, so no arm can be compared with it."
    said = verdict.judge(judged({"base": (1.0, 2.0), "a": (lost, lost)})).lead
    assert said == "Nothing to compare: no arm but the baseline base has a number."


def test_shares_are_told_in_percent() -> None:
    made = judged({"base": (0.5, 0.6, 0.7), "a": (0.71, 0.8, 0.89)})
    made = dataclasses.replace(made, metrics=(dataclasses.replace(LOSS, unit="%"),))
    said = verdict.judge(in_percent(made)).lead
    assert said.startswith("Worse than the baseline base (Loss 60.0%): a, +20.0 (")
    untouched = in_percent(judged({"base": BASE, "a": BASE}))
    assert [m.value for m in untouched.measurements] == [*BASE, *BASE]
