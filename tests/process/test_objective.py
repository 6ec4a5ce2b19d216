"""The denoising loss; tests/golden holds it against the authors' recorded ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

from diffusion_jax.process.level import Level
from diffusion_jax.process.objective import Objective, Points, denoising_loss
from diffusion_jax.process.predictions import X0, convert
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.struct import pytree
from tests.golden.load import case

pytestmark = pytest.mark.usefixtures("x64")


points_of = jax.jit(Objective.points)
convert_jit = jax.jit(convert)


@jax.jit
def loss_of(points: Points, value: Array, x0: Array, eps: Array) -> Array:
    return denoising_loss(lambda x, label: value, points, x0, eps)


def loss(
    objective: Objective, u: np.ndarray, x0: np.ndarray, eps: np.ndarray, value: Array
) -> Array:
    """The loss at quantiles u of a network that predicts `value`."""
    points = points_of(objective, jnp.asarray(u))
    return loss_of(points, value, jnp.asarray(x0), jnp.asarray(eps))


@pytree
class LinearLogSNR:
    """VDM's schedule, log_snr = intercept - slope t, as a member that this library has not."""

    intercept: Float[Array, ""]
    slope: Float[Array, ""]

    t_min = 0.0
    t_max = 1.0

    def level(self, time: Float[Array, "..."]) -> Level:
        return Level.from_log_snr(self.intercept - self.slope * time)

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        return (self.intercept - log_snr) / self.slope


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
def test_vdm_diffusion_loss_is_the_bound(prediction: str) -> None:
    recorded = case("vdm", "loss", "gauss_cont_scalar")
    b, w = (jnp.asarray(recorded[f"sd/gamma/{name}"].item()) for name in "bw")
    schedule: Schedule = LinearLogSNR(-b, jnp.abs(w))
    kind = Objective.make("cosine", prediction, "uniform", "elbo")
    objective = Objective(schedule, kind.prediction, kind.times, kind.weighting, 0.5)
    # Their encoding of pixels, and their stand-in for a network: exact for N(0.1, 0.5²).
    x0 = jnp.asarray(2 * (recorded["images"] + 0.5) / 256 - 1)
    eps, level = jnp.asarray(recorded["eps"]), schedule.level(jnp.asarray(recorded["t"]))
    x = level.mix(x0, eps)
    alpha, sigma = level.like(x).alpha, level.like(x).sigma
    guess = sigma * (x - alpha * 0.1) / (alpha**2 * 0.25 + sigma**2)
    denoised = (x - sigma * guess) / alpha
    value = convert_jit(denoised, x, level, X0(), objective.prediction)
    ours = loss(objective, recorded["t"], x0, eps, value) * x0[0].size
    np.testing.assert_allclose(ours, recorded["loss_diff"], rtol=1e-7)


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
        one = Points(
            Level(points.level.alpha[i : i + 1], points.level.sigma[i : i + 1]),
            *(
                getattr(points, name)[i : i + 1]
                for name in ("input_scale", "label", "a", "b", "weight")
            ),
        )
        alone = denoising_loss(lambda x, label: 0 * x, one, x0[i : i + 1], eps[i : i + 1])
        np.testing.assert_allclose(whole[i], alone[0], rtol=1e-12)
