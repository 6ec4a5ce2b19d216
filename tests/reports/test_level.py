"""A/A sweeps through the report's own entry: how often arms that do not differ are called so."""

import math

import numpy as np
import pytest

from diffusion_jax.reports.comparisons import compare
from diffusion_jax.reports.rows import Measurement, ReportedSampling, ReportMetric
from diffusion_jax.statistics.many_to_one import BETTER, WORSE

SWEEPS = 300
METRIC = ReportMetric("kernel", "Kernel distance", "lower")
HOW = ReportedSampling("heun", 8, 15)


def called(values: np.ndarray) -> set[str]:
    """Which arms of a table (arms, seeds) are called better or worse than the first."""
    rows = [
        Measurement(float(value), arm=f"arm {arm}", seed=seed, sampling=HOW, metric=METRIC.name)
        for arm, seeds in enumerate(values)
        for seed, value in enumerate(seeds)
    ]
    found = compare(rows, [METRIC], "arm 0")
    assert len(found) == len(values) - 1
    for pair in found:
        assert pair.difference.excludes_zero == (pair.verdict in (BETTER, WORSE))
    return {pair.arm for pair in found if pair.difference.excludes_zero}


@pytest.mark.parametrize(("wide", "least", "most"), [(1.0, 0.01, 0.05), (3.0, 0.0, 0.06)])
def test_sweeps_of_equal_arms_are_called_different_as_seldom_as_stated(
    wide: float, least: float, most: float
) -> None:
    """Six arms, three seeds, alike in their scatter or with one that scatters three times more."""
    rng = np.random.default_rng(11)
    scatter = np.array([1.0, wide, 1.0, 1.0, 1.0, 1.0])[:, None]
    alarms = 0
    for _ in range(SWEEPS):
        of_seed = 3 * rng.normal(size=(1, 3))  # what a seed gives to all arms
        alarms += bool(called(of_seed + scatter * rng.normal(size=(6, 3))))
    assert least <= alarms / SWEEPS <= most + 3 * math.sqrt(most * (1 - most) / SWEEPS)


def test_an_arm_that_differs_is_found_and_no_other_in_its_place() -> None:
    rng, found = np.random.default_rng(12), []
    for _ in range(50):
        values = rng.normal(size=(6, 3))
        values[2] += 5.0
        found.append(called(values))
    assert sum("arm 2" in arms for arms in found) > 40
    assert sum(bool(arms - {"arm 2"}) for arms in found) < 10
