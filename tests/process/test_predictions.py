"""Predictions: one 2 × 2 map between them all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import (
    EDMPrediction,
    Prediction,
    V,
    convert,
    determinant,
    predictions,
    split,
    to_x0,
)
from diffusion_jax.process.schedules import schedules
from tests.golden.load import case
from tests.members import PREDICTIONS

each_prediction = pytest.mark.parametrize("spec", PREDICTIONS)
# Predictions that say something of x_0 even where no signal is left.
AT_ZERO_SIGNAL = ("x0", "v", "velocity", "edm")
CURVES = ("cosine", "edm", "rectified_flow")


def make(spec: str, schedule: str = "rectified_flow", sigma_data: float = 0.8) -> Prediction:
    return predictions.make(spec, schedule=schedules.make(schedule), sigma_data=sigma_data)


@pytest.mark.parametrize("schedule", CURVES)
@each_prediction
@pytest.mark.usefixtures("x64")
def test_the_exact_target_gives_back_data_and_noise(spec: str, schedule: str) -> None:
    process, prediction = schedules.make(schedule), make(spec, schedule)
    span = jnp.linspace(0.05, 0.95, 7)
    level = process.level(process.t_min + span * (process.t_max - process.t_min))
    x0, eps = np.random.default_rng(0).normal(size=(2, 7, 3))
    a, b = prediction.coefficients(level)
    target = np.asarray(a)[:, None] * x0 + np.asarray(b)[:, None] * eps
    x = np.asarray(level.alpha)[:, None] * x0 + np.asarray(level.sigma)[:, None] * eps
    again = split(jnp.asarray(target), jnp.asarray(x), level, prediction)
    np.testing.assert_allclose(again[0], x0, atol=1e-10)
    np.testing.assert_allclose(again[1], eps, atol=1e-10)


@pytest.mark.parametrize("source", PREDICTIONS)
@pytest.mark.parametrize("target", PREDICTIONS)
@pytest.mark.usefixtures("x64")
def test_any_prediction_becomes_any_other_and_itself_again(source: str, target: str) -> None:
    value, x = jnp.asarray(np.random.default_rng(1).normal(size=(2, 5, 4)))
    level = Level(jnp.linspace(0.2, 1.0, 5), jnp.linspace(1.5, 0.1, 5))
    there = convert(value, x, level, make(source), make(target))
    back = convert(there, x, level, make(target), make(source))
    np.testing.assert_allclose(back, value, atol=1e-11)


@pytest.mark.parametrize("problem", ["gmm2", "gauss16"])
@pytest.mark.usefixtures("x64")
def test_recorded_values_of_one_posterior_in_all_parametrisations(problem: str) -> None:
    recorded = case("problems", problem, "check")
    level = Level(jnp.asarray(recorded["alpha"]), jnp.asarray(recorded["sigma"]))
    x, x0 = jnp.asarray(recorded["x"]), jnp.asarray(recorded["denoised"])
    arrays = {"epsilon": "eps", "score": "score", "v": "v", "velocity": "flow_u"}
    # From x_0 to the rest costs digits where little noise is left, so those points are left out.
    noisy = np.asarray(level.sigma) > 0.05
    for spec, array in arrays.items():
        value = convert(x0, x, level, make("x0"), make(spec))
        expected = recorded[array]
        np.testing.assert_allclose(value[noisy], expected[noisy], rtol=1e-8, atol=1e-9)


@pytest.mark.usefixtures("x64")
def test_edms_f_is_minus_v_for_unit_data() -> None:
    level = Level.from_log_snr(jnp.linspace(-15, 15, 31))
    for ours, v in zip(
        EDMPrediction(sigma_data=1.0).coefficients(level), V().coefficients(level), strict=True
    ):
        np.testing.assert_allclose(ours, -v, atol=1e-14)


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize("spec", AT_ZERO_SIGNAL)
def test_zero_terminal_snr_is_finite(spec: str, double: bool) -> None:
    with jax.enable_x64(double):
        level = schedules.make("rectified_flow").level(jnp.array([1.0]))
        assert float(level.alpha[0]) == 0
        prediction = make(spec)
        assert float(jnp.abs(determinant(level, prediction)[0])) > 0.1
        # x is pure noise: the prediction alone must say what x_0 is.
        a, b = prediction.coefficients(level)
        x0, eps = jnp.array([[0.25]]), jnp.array([[2.0]])
        np.testing.assert_allclose(to_x0(a * x0 + b * eps, eps, level, prediction), x0, rtol=1e-6)


@each_prediction
def test_a_level_belongs_to_a_sample_even_if_there_are_as_many_channels(spec: str) -> None:
    value, x = jnp.asarray(np.random.default_rng(3).normal(size=(2, 3, 3, 3)), jnp.float32)
    level = Level(jnp.array([0.9, 0.5, 0.2]), jnp.array([0.1, 0.5, 0.8]))
    whole = to_x0(value, x, level, make(spec))
    for i in range(3):
        alone = Level(level.alpha[i], level.sigma[i])
        np.testing.assert_allclose(
            whole[i], to_x0(value[i], x[i], alone, make(spec)), rtol=1e-5, atol=1e-5
        )
