"""Reconstructed averages, against sums and integrals, and against averages that were tracked."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.training import posthoc
from diffusion_jax.training.ema import averages, update

STORED = (0.05, 0.1)
STEPS, EVERY = 512, 32


@pytest.fixture(scope="module")
def tracked() -> dict[float, np.ndarray]:
    """Width -> the averages of a random walk of parameters after each update."""
    walk = np.cumsum(np.random.default_rng(0).standard_normal((STEPS, 3)), axis=0) / 20
    values = jnp.asarray(walk, jnp.float32)

    def run(std: float) -> np.ndarray:
        average = averages.make(f"power_function(std={std})")

        def step(ema: jax.Array, i: jax.Array) -> tuple[jax.Array, jax.Array]:
            ema = update(average, ema, values[i], i + 1)
            return ema, ema

        return np.asarray(jax.lax.scan(step, jnp.zeros(3), jnp.arange(STEPS))[1])

    return {std: run(std) for std in (*STORED, 0.07, 0.15)}


@pytest.mark.parametrize("std", [0.07, 0.15])
def test_reconstruction_is_the_average_that_was_tracked(
    std: float, tracked: dict[float, np.ndarray]
) -> None:
    ends = np.repeat(np.arange(EVERY, STEPS + 1, EVERY), len(STORED)).astype(float)
    stds = np.tile(STORED, STEPS // EVERY)
    snapshots = [{"w": tracked[width][int(end) - 1]} for end, width in zip(ends, stds, strict=True)]
    found = posthoc.reconstruct(snapshots, ends, stds, end=float(STEPS), std=std)
    gap = np.abs(found["w"] - tracked[std][-1]).max()
    apart = min(np.abs(tracked[width][-1] - tracked[std][-1]).max() for width in STORED)
    assert found["w"].dtype == np.float32
    assert gap < 0.02 * apart, f"{gap} off, where the stored ones are {apart} off"


def test_profile_has_its_width_and_correlation_is_the_integral() -> None:
    time = (np.arange(200_000) + 0.5) / 200_000 * 60
    a, b = posthoc.response(time, 40.0, 0.08), posthoc.response(time, 60.0, 0.2)
    dt = time[1] - time[0]
    for profile, end, std in ((a, 40.0, 0.08), (b, 60.0, 0.2)):
        mean = np.sum(profile * time) * dt
        assert np.sum(profile) * dt == pytest.approx(1, rel=1e-4)
        spread = np.sqrt(np.sum(profile * (time - mean) ** 2) * dt)
        assert spread / end == pytest.approx(std, rel=1e-4)
    for pair in ((40.0, 0.08, 60.0, 0.2), (60.0, 0.2, 40.0, 0.08)):
        assert posthoc.correlation(*pair) == pytest.approx(np.sum(a * b) * dt, rel=1e-4)


def test_shares_sum_to_one() -> None:
    ends, stds = np.array([10.0, 20.0, 30.0]), np.array([0.05, 0.1, 0.05])
    shares = posthoc.coefficients(ends, stds, end=25.0, std=np.array([0.03, 0.2]))
    np.testing.assert_allclose(shares.sum(axis=0), 1, rtol=1e-12)


def test_snapshots_without_their_times_are_refused() -> None:
    with pytest.raises(UserError, match="one end and one std per snapshot"):
        posthoc.reconstruct([{"w": np.zeros(1)}], np.ones(2), np.full(2, 0.1), end=1.0, std=0.1)
