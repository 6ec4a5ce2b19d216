"""The denoising loss; tests/golden holds it against the authors' recorded ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from diffusion_jax.process.level import Level
from diffusion_jax.process.objective import Objective, TrainingTargets, denoising_loss

pytestmark = pytest.mark.usefixtures("x64")


points_of = jax.jit(Objective.targets)


def test_the_network_sees_unit_variance_and_its_own_level() -> None:
    objective = Objective.make("edm", "edm", "log_normal", "edm", 0.5)
    points = points_of(objective, jnp.linspace(0.001, 0.999, 64))
    x0 = 0.5 * np.random.default_rng(0).normal(size=(64, 20_000))
    eps = np.random.default_rng(1).normal(size=x0.shape)
    seen = {}

    def network(x: Array, label: Array) -> Array:
        seen.update(x=x, label=label)
        return x

    denoising_loss(network, points, jnp.asarray(x0), jnp.asarray(eps))
    np.testing.assert_allclose(seen["x"].std(axis=1), 1, atol=0.03)
    np.testing.assert_allclose(seen["label"], np.log(points.level.sigma) / 4, atol=1e-12)


def test_each_sample_has_its_own_weight_even_if_there_are_as_many_channels() -> None:
    objective = Objective.make("cosine", "v", "uniform", "min_snr")
    points = points_of(objective, jnp.array([0.2, 0.5, 0.8]))
    x0, eps = jnp.asarray(np.random.default_rng(2).normal(size=(2, 3, 4, 4, 3)))
    whole = denoising_loss(lambda x, label: 0 * x, points, x0, eps)
    assert whole.shape == (3,)
    for i in range(3):
        one = TrainingTargets(
            Level(points.level.alpha[i : i + 1], points.level.sigma[i : i + 1]),
            *(
                getattr(points, name)[i : i + 1]
                for name in ("input_scale", "c_noise", "a", "b", "weight")
            ),
        )
        alone = denoising_loss(lambda x, label: 0 * x, one, x0[i : i + 1], eps[i : i + 1])
        np.testing.assert_allclose(whole[i], alone[0], rtol=1e-12)
