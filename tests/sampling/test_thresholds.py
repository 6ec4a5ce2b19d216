"""Thresholds of the estimate of x_0, against the paper's words in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.process.level import Level
from diffusion_jax.sampling.thresholds import Threshold, thresholded, thresholds
from diffusion_jax.verification.oracles import Gaussian
from tests.members import THRESHOLDS

X0 = np.random.default_rng(0).normal(size=(4, 3, 5)) * np.array([0.2, 1.0, 3.0, 9.0])[:, None, None]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("ratio", [0.5, 0.9, 1.0])
def test_dynamic_thresholding_is_imagens(ratio: float) -> None:
    found = thresholds.make(f"dynamic(ratio={ratio})")(jnp.asarray(X0))
    for estimate, thresholded_estimate in zip(X0, found, strict=True):
        # "we set s to a certain percentile absolute pixel value in x_0, and if s > 1, then we
        # threshold x_0 to the range [-s, s] and then divide by s."
        s = max(np.percentile(np.abs(estimate), 100 * ratio), 1)
        np.testing.assert_allclose(thresholded_estimate, np.clip(estimate, -s, s) / s, rtol=1e-12)


def test_the_bounds_of_s_hold() -> None:
    x0 = jnp.asarray(X0)
    held = thresholds.make("dynamic(ratio=0.9, lowest=2.0, highest=4.0)")(x0)
    assert float(jnp.abs(held).max()) == 1
    np.testing.assert_allclose(held[0], x0[0] / 2)  # small values: s is `lowest`
    np.testing.assert_allclose(held[3], jnp.clip(x0[3] / 4, -1, 1))  # large ones: `highest`
    static = thresholds.make("dynamic(lowest=1.0, highest=1.0)")(x0)
    np.testing.assert_array_equal(static, thresholds.make("clip")(x0))


@pytest.mark.parametrize("spec", THRESHOLDS)
def test_every_threshold(spec: str) -> None:
    threshold = thresholds.make(spec)
    assert isinstance(threshold, Threshold)
    small, x0 = jnp.asarray(X0 / 100, jnp.float32), jnp.asarray(X0, jnp.float32)
    np.testing.assert_array_equal(threshold(small), small)  # what is in range stays
    once = threshold(x0)
    assert once.shape == x0.shape
    assert once.dtype == x0.dtype
    if spec != "none":
        assert float(jnp.abs(once).max()) <= 1
    # A sample does not depend on the others.
    np.testing.assert_array_equal(threshold(x0[2:]), once[2:])


def test_a_denoiser_is_thresholded_whatever_it_is_given() -> None:
    data = Gaussian(jnp.array([3.0, 0.1]), jnp.array([0.1, 0.1]))
    level = Level(jnp.array(0.6), jnp.array(0.8))
    denoise = jax.jit(thresholded(data.denoise, thresholds.make("clip")))
    x = jnp.array([[2.0, 0.1]])
    np.testing.assert_allclose(denoise(x, level), jnp.clip(data.denoise(x, level), -1, 1))
    np.testing.assert_array_equal(denoise(x, level, None), denoise(x, level))
