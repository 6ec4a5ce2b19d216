"""The benchmark beside other libraries, as far as it goes without them."""

import numpy as np
import pytest

from diffusion_jax.errors import UserError
from experiments import benchmark_peers
from experiments.peers import libraries, problem


@pytest.mark.parametrize("name", problem.PROBLEMS)
def test_all_libraries_are_given_random_weights_of_the_network(name: str) -> None:
    weights = problem.weights(problem.PROBLEMS[name])
    assert all((value != 0).all() for value in weights.values())
    count = sum(value.size for value in weights.values())
    assert count < 3000 if name == "overhead" else 9e6 < count < 11e6


def test_ours_ends_on_samples_of_the_start() -> None:
    tiny = problem.PROBLEMS["overhead"]
    draw = libraries.ours(tiny, problem.weights(tiny))
    end = draw(problem.start(tiny))
    assert end.shape == (tiny.batch, *tiny.shape)
    assert np.isfinite(end).all()
    np.testing.assert_array_equal(end, draw(problem.start(tiny)))


def test_a_missing_peer_is_told_in_one_line() -> None:
    with pytest.raises(UserError, match="diffusers does not run in this environment: make bench"):
        benchmark_peers.main(["--peers=false", "--problem=overhead", "--rounds=1"])


def test_libraries_that_end_elsewhere_are_not_compared() -> None:
    ends = [np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 2.1])]
    with pytest.raises(UserError, match="k-diffusion ends 0.12 standard deviations away"):
        benchmark_peers._check_ends(ends)
