"""Both phases of diffusion, against what is known of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.process.schedules import schedules
from diffusion_jax.reports import walks
from diffusion_jax.sampling import grids
from diffusion_jax.sampling.loop import sample_keys
from diffusion_jax.sampling.solvers import solvers
from diffusion_jax.verification.oracles import Empirical
from tests.members import ONE_SCHEDULE_EACH


@pytest.mark.parametrize("spec", ONE_SCHEDULE_EACH)
def test_forward_mixes_the_same_noise_at_every_frame(spec: str) -> None:
    picture, eps = jnp.full((4, 4, 1), 0.5), jnp.full((4, 4, 1), -1.0)
    walk = walks.forward(schedules.make(spec), picture, eps, 5)
    assert walk.noisy.shape == (5, 4, 4, 1)
    assert (np.diff(walk.log_snr) < 0).all() and (np.diff(walk.time) > 0).all()
    assert walk.time.min() >= 0 and walk.time.max() <= 1
    # The look depends on the log-SNR alone: (x0 + s eps) / sqrt(1 + 2 s²), s = sigma/alpha.
    s = np.exp(-walk.log_snr / 2)
    expected = 127.5 * (np.clip((0.5 - s) / np.sqrt(1 + 2 * s**2), -1, 1) + 1)
    np.testing.assert_allclose(walk.noisy[:, 0, 0, 0], expected, atol=1)


def test_reverse_of_a_finite_set_ends_at_its_members() -> None:
    points = jax.random.uniform(jax.random.key(1), (5, 4, 4, 1), minval=-1, maxval=1)
    nodes = grids.make(grids.grids.make("karras"), schedules.make("cosine"), 12)
    keys = sample_keys(jax.random.key(0), 3)
    walk = walks.reverse(Empirical(points).denoise, solvers.make("heun"), nodes, keys, (4, 4, 1))
    assert walk.noisy.shape == walk.denoised.shape == (13, 3, 4, 4, 1)
    members = np.rint((np.asarray(points) + 1) * 127.5)
    for end in walk.noisy[-1].astype(float):
        assert np.abs(members - end).max(axis=(1, 2, 3)).min() <= 2
    np.testing.assert_array_equal(walk.noisy[-1], walk.denoised[-1])
    # At first the estimate is near the mean of all, blurred.
    mean = (np.asarray(points).mean(0) + 1) * 127.5
    assert np.abs(walk.denoised[0] - mean).mean() < 30
