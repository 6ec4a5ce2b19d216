"""An objective made of objects: what it holds once, and what it checks itself."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from diffusion_jax.errors import UserError
from diffusion_jax.process.objective import Condition, Objective
from diffusion_jax.process.predictions import EDMPrediction, V, Velocity
from diffusion_jax.process.schedules import schedules
from diffusion_jax.process.time_samplers import LossAware, time_samplers
from diffusion_jax.process.time_samplers.normal import LogNormal
from diffusion_jax.process.weightings.edm import EDMWeighting
from diffusion_jax.process.weightings.plain import ErrorOf
from tests.annotations import unchecked

COSINE, FLOW = schedules.make("cosine"), schedules.make("rectified_flow")
KEY = jax.random.key(0)


def zero(x: Array, c_noise: Array, condition: Condition) -> Array:
    return jnp.zeros_like(x)


def test_members_are_given_the_schedule_and_the_deviation_of_their_objective() -> None:
    objective = Objective(FLOW, Velocity(), weighting=ErrorOf(EDMPrediction()), sigma_data=0.7)
    assert objective.prediction == Velocity(FLOW)
    assert objective.weighting == ErrorOf(EDMPrediction(0.7))
    made = Objective.make("rectified_flow", "velocity", weighting="edm", sigma_data=0.7)
    assert made.prediction == Velocity(FLOW) and made.weighting == EDMWeighting(0.7)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"prediction": EDMPrediction(0.7)},
            "EDMPrediction has sigma_data=0.7 and its objective 0.5",
        ),
        ({"prediction": V(), "weighting": EDMWeighting(1.0)}, "EDMWeighting has sigma_data=1.0"),
        ({"prediction": Velocity(COSINE)}, "Velocity has schedule=Cosine"),
        ({"prediction": V(), "sigma_data": 0.0}, "sigma_data must be positive"),
    ],
)
def test_two_that_differ_are_refused(parts: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Objective(FLOW, **parts)  # type: ignore[arg-type]


def test_a_member_alone_says_what_it_lacks() -> None:
    with pytest.raises(UserError, match="Velocity depends on the schedule and was given none"):
        Velocity().coefficients(FLOW.level(jnp.float32(0.5)))


def test_an_objective_can_be_traced_with_the_deviation_as_an_argument() -> None:
    def loss(sigma_data: Array) -> Array:
        return Objective(COSINE, EDMPrediction(), sigma_data=sigma_data).loss(
            zero, jnp.ones((4, 2)), KEY
        )

    slope = jax.grad(loss)(0.5)
    step = 1e-2
    # A difference quotient, within the rounding of float32 and its own error of second order.
    np.testing.assert_allclose(slope, (loss(0.5 + step) - loss(0.5 - step)) / (2 * step), rtol=2e-2)


def test_the_loss_of_the_zero_network_is_the_mean_square_of_the_target() -> None:
    # E[v²] = E[alpha² eps² + sigma² x_0²] = alpha² + 4 sigma² for x_0 = ±2, and the cosine
    # schedule at uniform times has the mean of both squares at 1/2.
    x0 = 2 * jnp.sign(jax.random.normal(jax.random.key(1), (100_000, 1)))
    losses = Objective(COSINE, V()).losses(zero, x0, KEY)
    assert losses.shape == (100_000,)
    assert abs(float(losses.mean()) - 2.5) < 4 * float(losses.std()) / 100_000**0.5
    assert float(Objective(COSINE, V()).loss(zero, x0, KEY)) == pytest.approx(float(losses.mean()))


def test_a_network_is_told_the_condition_and_the_noise() -> None:
    def network(x: Array, c_noise: Array, condition: Condition) -> Array:
        assert x.shape == (3, 2) and c_noise.shape == (3,)
        return x * condition["scale"][:, None]

    objective, x0 = Objective(COSINE, V()), jnp.ones((3, 2))
    told = objective.losses(network, x0, KEY, {"scale": jnp.zeros(3)})
    np.testing.assert_array_equal(told, objective.losses(zero, x0, KEY))


@pytest.mark.parametrize(
    ("network", "x0", "condition", "message"),
    [
        (zero, np.zeros((2, 4, 4, 3), np.uint8), {}, "x0 must be floats"),
        (zero, np.zeros(3, np.float32), {}, "x0 must be floats of shape"),
        (lambda x, c, t: x[..., :1], np.zeros((2, 3), np.float32), {}, r"of shape \(2, 3\), not"),
        (lambda x, c, t: x.mean(1), np.zeros((2, 2), np.float32), {}, "prediction must be"),
        (zero, np.zeros((2, 3), np.float32), {"class": np.zeros(3)}, "a row for each of the 2"),
    ],
)
def test_what_broadcasting_would_hide_is_refused(
    network: object, x0: np.ndarray, condition: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        Objective(COSINE, V()).loss(network, x0, KEY, condition)  # type: ignore[arg-type]


def test_times_that_follow_losses_need_a_training() -> None:
    objective = Objective(COSINE, V(), LossAware())
    with pytest.raises(UserError, match="LossAware follows the losses of a whole training"):
        objective.loss(zero, jnp.ones((2, 2)), KEY)


def test_times_at_one_end_of_the_schedule_are_refused() -> None:
    late = Objective(COSINE, V(), time_samplers.make("log_normal(mean=50.0)"))
    x0 = jnp.ones((4, 2))
    for loss in (late.loss, jax.jit(late.loss, static_argnums=0)):
        with pytest.raises(UserError, match="at one noise level only, log-SNR -15"):
            loss(zero, x0, KEY)

    def of_mean(mean: Array) -> Array:  # not known until it runs
        return Objective(COSINE, V(), LogNormal(mean)).loss(zero, x0, KEY)

    assert jnp.isfinite(jax.jit(of_mean)(jnp.float32(50.0)))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (("cosine", V()), "schedule must be an object, not 'cosine'. Objective.make takes specs"),
        ((COSINE, "v"), "prediction must be an object, not 'v'"),
        ((COSINE, V), r"prediction is the class V; write V\(\)"),
        ((COSINE, V(), LogNormal), r"time_sampler is the class LogNormal; write LogNormal\(\)"),
    ],
)
def test_specs_and_classes_are_not_taken_for_objects(parts: tuple, message: str) -> None:
    with unchecked(), pytest.raises(UserError, match=message):
        Objective(*parts)


def test_a_mistake_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="Unknown schedule"):
        schedules.make("cosin")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Objective(V(), COSINE), "schedule must be a Schedule, not V"),
        (lambda: Objective(COSINE, None), "prediction must be a Prediction, not NoneType"),
        (lambda: Objective(COSINE, V(), weighting=1.0), "weighting must be a Weighting, not float"),
        (lambda: Objective(COSINE, V(), sigma_data="1"), "sigma_data must be a number"),
        (lambda: Objective(COSINE, V()).loss(None, jnp.ones((2, 2)), KEY), "must be a function"),
        (lambda: Objective(COSINE, V()).denoiser("network"), "must be a function, not a str"),
    ],
)
def test_parts_in_the_wrong_place_are_told_apart(call: Callable[[], Any], message: str) -> None:
    with unchecked(), pytest.raises(UserError, match=message):
        call()
