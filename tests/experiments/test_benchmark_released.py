"""The benchmark of released models, as far as it goes without the original library."""

from pathlib import Path

import numpy as np
import pytest

from diffusion_jax.errors import UserError
from experiments import benchmark_released as benchmark
from experiments.benchmark_peers import LibraryTiming
from experiments.released_speed import problems


def test_a_missing_peer_is_told_in_one_line() -> None:
    with pytest.raises(UserError, match="diffusers does not run in this environment: make bench"):
        benchmark.main(["--peers=false", "--problem=dit", "--rounds=1"])


def test_ratios_are_of_ours_to_the_original_round_by_round() -> None:
    ours = LibraryTiming("diffusion_jax", 9.0, (1.0, 2.0, 3.0))
    theirs = LibraryTiming("diffusers", 1.0, (2.0, 1.0, 2.0))
    for name, verdict in (("dit", "1: MISSED"), ("unet", "1.25: MISSED")):
        row = benchmark.cells(name, ours, theirs)
        assert row[1:] == ("2.00", "2.00", "1.50", "0.50", "2.00", verdict, "9.0")
    assert benchmark.cells("unet", theirs, theirs)[6] == "1.25: met"


@pytest.mark.parametrize("off", [1e-3, np.nan])
def test_libraries_that_differ_are_not_compared(tmp_path: Path, off: float) -> None:
    np.save(tmp_path / "diffusers.npy", np.ones(3))
    np.save(tmp_path / "diffusion_jax.npy", np.ones(3))
    benchmark.check_same("dit", tmp_path)
    np.save(tmp_path / "diffusion_jax.npy", np.ones(3) + off)
    with pytest.raises(UserError, match="no comparison"):
        benchmark.check_same("dit", tmp_path)


def test_memory_is_judged_by_the_weights() -> None:
    page = benchmark.markdown([], benchmark.ReadingCost(1000, 1200, 30.0, 10.0))
    assert "1.200 times" in page and "MISSED" in page
    assert "met" in benchmark.markdown([], benchmark.ReadingCost(1000, 1050, 30.0, 10.0))


@pytest.mark.parametrize("name", problems.FORWARD)
def test_inputs_are_of_the_network(name: str) -> None:
    problem = problems.FORWARD[name]
    given = problem.inputs(np.random.default_rng(0))
    assert len({len(array) for array in given.values()}) == 1
    assert problem.network.ours is not None
