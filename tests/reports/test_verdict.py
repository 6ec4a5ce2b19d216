"""The first paragraph says what the measurements allow, and no more."""

import dataclasses

import pytest
from scipy import stats

from diffusion_jax.reports import verdict
from diffusion_jax.reports.content import Paired, Report
from diffusion_jax.statistics.estimate import Estimate
from tests.reports import made_up


def compared(*differences: tuple[float, float, float | None], measure: str = "rate") -> Report:
    """A report whose arms differ from the first by (difference, half width, p)."""
    made = made_up.report(arms=len(differences) + 1, checker=measure == "rate")
    pairs = tuple(
        Paired(
            arm.name,
            made.arms[0].name,
            made.headline,
            500,
            measure,
            Estimate(by, by - half, by + half),
            p,
        )
        for arm, (by, half, p) in zip(made.arms[1:], differences, strict=True)
    )
    return dataclasses.replace(made, paired=pairs)


def test_nothing_within_the_noise_wins() -> None:
    said = verdict.judge(compared((0.02, 0.03, 0.2), (-0.01, 0.03, 0.5))).lead
    assert said.startswith("No winner")
    assert "+2.0 points (95% interval −1.0 to +5.0)" in said
    assert "Better" not in said and "Worse" not in said


def test_many_looks_ask_for_more() -> None:
    alone = verdict.judge(compared((0.03, 0.029, 0.04))).lead
    among_three = verdict.judge(compared((0.03, 0.029, 0.04), (0, 0.03, 0.9), (0, 0.03, 0.8))).lead
    assert alone.startswith("Better than the baseline linear")
    assert among_three.startswith("No winner")


def test_better_worse_and_open_are_told_apart() -> None:
    said = verdict.judge(compared((0.1, 0.02, 1e-6), (-0.1, 0.02, 1e-6), (0.0, 0.03, 1.0))).lead
    better, rest = said.split("Worse than it:")
    worse, open_ = rest.split("Not separable from it:")
    assert "cosine" in better and "flow" in worse and "edm" in open_


def test_less_distance_is_better_and_intervals_serve_without_p() -> None:
    made = compared((-0.01, 0.002, None), (0.01, 0.002, None), measure="distance")
    said = verdict.judge(made).lead
    assert said.startswith("Better than the baseline linear (distance 0.0")
    assert "cosine, −0.0100" in said.split("Worse")[0]
    assert "flow" in said.split("Worse")[1]


def test_several_winners_are_not_ranked() -> None:
    details = verdict.judge(compared((0.1, 0.02, 1e-6), (0.12, 0.02, 1e-6))).details
    assert any("which of the 2 better ones is best is left open" in line for line in details)


def test_one_arm_and_no_pairs_are_described() -> None:
    assert verdict.judge(made_up.report(arms=1)).lead.startswith("One arm was measured: linear")
    said = verdict.judge(dataclasses.replace(made_up.report(), paired=())).lead
    assert "does not say which arm is better" in said


@pytest.mark.parametrize("seed", range(3))
def test_holm_rejects_as_the_sequential_procedure_does(seed: int) -> None:
    p_values = stats.beta.rvs(0.3, 3, size=6, random_state=seed).tolist()
    rejected = set()
    for rank, p in enumerate(sorted(p_values)):
        if p >= 0.05 / (6 - rank):
            break
        rejected.add(p)
    adjusted = verdict.holm(p_values)
    assert {p for p, a in zip(p_values, adjusted, strict=True) if a < 0.05} == rejected
