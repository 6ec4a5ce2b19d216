"""The benchmark of many arms measures what it says; its figures are not tested."""

import math

import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.parallel import devices
from experiments import benchmark_arms


@pytest.mark.usefixtures("one_device")
def test_it_times_both_ways_and_counts_memory() -> None:
    assert devices.data_mesh().size == 1
    apart = benchmark_arms.train("mlp", 2, 5, "apart")
    together = benchmark_arms.train("mlp", 2, 5, "together")
    assert apart["step"] > 0 and together["step"] > 0
    assert together["counted"] > 0 and together["resident"] > 1e6
    # More arms need more memory, and less than that of programs of their own.
    four = benchmark_arms.train("mlp", 4, 5, "together")["counted"]
    assert together["counted"] < four < 2.5 * together["counted"]
    assert math.isnan(benchmark_arms.train("mlp", 1, 2, "apart")["step"])


def test_mistakes_are_named() -> None:
    with pytest.raises(UserError, match="--arms must be at least 1, got 0"):
        benchmark_arms.main(["--arms=0"])
    with pytest.raises(UserError, match="invalid choice: 'cnn'"):
        benchmark_arms.main(["--problem=cnn"])
