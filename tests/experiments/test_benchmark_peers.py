"""The benchmark beside other libraries, as far as it goes without them."""

import dataclasses

import numpy as np
import pytest

from diffusion_jax.errors import UserError
from experiments import benchmark_peers
from experiments.peers import libraries, problem, training

TINY_DIT = "dit(patch=2, width=8, depth=1, heads=1)"


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


def test_ours_trains_on_the_batches_and_tells_the_loss_before_each_update() -> None:
    tiny = dataclasses.replace(problem.PROBLEMS["train_dit"], network=TINY_DIT, shape=(4, 4, 3))
    batches = problem.batches(tiny)
    train = training.ours(tiny, problem.weights(tiny))
    first, again = train(batches), train(batches)
    assert first.shape == (problem.UPDATES,)
    assert (again < first).all()  # the same batches, later in training


def test_libraries_with_other_losses_are_not_compared() -> None:
    losses = [np.array([1.0, 2.0]), np.array([1.0, 2.01])]
    with pytest.raises(UserError, match="PyTorch's losses are 0.005 of them away"):
        benchmark_peers._check_losses(losses)
