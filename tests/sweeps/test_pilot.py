"""What the plan of a sweep says of its power, by a made-up pilot."""

import csv
from pathlib import Path

import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.statistics.power import smallest_difference
from diffusion_jax.sweeps.pilot import RESULTS, power_line, read_pilot

SAMPLED = ("ddim", 8)


def made_up(folder: Path, deviation: float, arms: int = 8, seeds: int = 40) -> Path:
    """Results of a sweep whose seeds scatter so much, with ten times that common to all arms."""
    rng = np.random.default_rng(0)
    common = 10 * deviation * rng.normal(size=seeds)
    names = ("arm", "seed", "solver", "solver_steps", "nfe", "metric", "value", "count")
    path = folder / RESULTS
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for arm in range(arms):
            for seed in range(seeds):
                value = arm + common[seed] + deviation * rng.normal()
                writer.writerow([f"arm {arm}", seed, *SAMPLED, 8, "kernel", value, 100])
                writer.writerow([f"arm {arm}", seed, "heun", 8, 15, "kernel", rng.normal(), 100])
    return folder


def test_the_deviation_is_that_of_the_pilot_without_what_arms_share(tmp_path: Path) -> None:
    found = read_pilot(made_up(tmp_path, 0.3), ("copies", "kernel"), SAMPLED)
    assert found is not None
    assert found.deviation == pytest.approx(0.3, rel=0.1)
    assert (found.arms, found.seeds, found.metric) == (8, 40, "kernel")
    line = power_line(6, 3, found)
    assert f"{smallest_difference(6, 3, found.deviation):.2g} or more by kernel" in line
    assert str(tmp_path) in line


def test_without_a_pilot_it_is_in_units_of_the_seeds_scatter() -> None:
    line = power_line(6, 3, None)
    assert f"{smallest_difference(6, 3):.2g} seed standard deviations" in line
    assert "--pilot" in line


def test_one_seed_is_said_to_show_nothing() -> None:
    assert "One seed shows no difference" in power_line(6, 1, None)


def test_a_pilot_that_cannot_tell(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing"):
        read_pilot(tmp_path, ("kernel",), SAMPLED)
    few = made_up(tmp_path / "few", 0.3, arms=1)
    assert read_pilot(few, ("kernel",), SAMPLED) is None
    assert read_pilot(made_up(tmp_path / "other", 0.3), ("psnr",), SAMPLED) is None
    (few / RESULTS).write_text("arm,metric\na,kernel\n")
    with pytest.raises(UserError, match="no table"):
        read_pilot(few, ("kernel",), SAMPLED)
