"""Weightings: the papers' formulas, and what they come to in the end."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array
from scipy import integrate

from diffusion_jax.process.level import Level
from diffusion_jax.process.objective import Objective, denoising_loss
from diffusion_jax.process.predictions import predictions, split
from diffusion_jax.process.schedules import schedules
from diffusion_jax.process.time_samplers import at_quantile, log_snr_slope, time_samplers
from diffusion_jax.process.weightings import effective_weight, weightings
from tests.members import ONE_SCHEDULE_EACH, PREDICTIONS, TIMES, WEIGHTINGS, optimized
from tests.process.density import table

pytestmark = pytest.mark.usefixtures("x64")

LOG_SNR = np.linspace(-12, 12, 41)
SNR = np.exp(LOG_SNR)
COUNT = 1000
DATA_STD = 0.7  # of the Gaussian data below
WAYS = [(schedule, "uniform") for schedule in ONE_SCHEDULE_EACH]
# Those that change the batch's draws alone, and one that rounds times up, are tested by themselves.
ELSEWHERE = ("low_discrepancy", "antithetic", "discrete")
WAYS += [("cosine", times) for times in TIMES if not times.startswith(ELSEWHERE)]


def weigh(weighting: str, prediction: str, level: Level, slope: float = 1.0) -> Array:
    flow = prediction == "velocity_of_flow"
    schedule = schedules.make("rectified_flow" if flow else "cosine")
    prediction = "velocity" if flow else prediction
    kind = predictions.make(prediction, schedule=schedule, sigma_data=0.5)
    weight = weightings.make(weighting, schedule=schedule, sigma_data=0.5)
    return weight.weight(level, kind, jnp.full_like(level.alpha, slope))


@pytest.mark.parametrize("gamma", [1.0, 5.0])
@pytest.mark.parametrize(
    ("prediction", "paper"),
    [
        ("x0", lambda gamma: np.minimum(SNR, gamma)),
        ("epsilon", lambda gamma: np.minimum(SNR, gamma) / SNR),
        ("v", lambda gamma: np.minimum(SNR, gamma) / (SNR + 1)),
    ],
)
def test_min_snr_is_hang_2023_section_3(prediction: str, paper: object, gamma: float) -> None:
    level = Level.from_log_snr(jnp.asarray(LOG_SNR))
    weight = weigh(f"min_snr(gamma={gamma})", prediction, level)
    np.testing.assert_allclose(weight, paper(gamma), rtol=1e-10)


PAPERS = {  # the weight that papers state on the squared error of a prediction
    ("snr", "epsilon"): np.ones_like(SNR),
    ("snr(plus=1)", "v"): np.ones_like(SNR),
    ("truncated_snr", "x0"): np.maximum(SNR, 1),
    ("soft_min_snr", "x0"): 4 * SNR / (SNR + 4),
    ("p2(k=1, gamma=0.5)", "epsilon"): (1 + SNR) ** -0.5,
    ("error_of(prediction=v)", "x0"): SNR + 1,
    ("error_of(prediction=v)", "v"): np.ones_like(SNR),
    ("flow", "x0"): (np.sqrt(SNR) + 1) ** 2,  # eps - x_0 = (x - x_0)/t - … = -x_0-error/t
}


@pytest.mark.parametrize(("weighting", "prediction"), PAPERS)
def test_weights_are_what_papers_state(weighting: str, prediction: str) -> None:
    level = Level.from_log_snr(jnp.asarray(LOG_SNR))
    expected = PAPERS[weighting, prediction]
    np.testing.assert_allclose(weigh(weighting, prediction, level), expected, rtol=1e-9)


@pytest.mark.parametrize("member", ["cosmap", "logit_normal", "logit_normal(mean=0.5, std=0.7)"])
def test_a_density_as_a_weight_is_that_density_of_times(member: str) -> None:
    path = schedules.make("rectified_flow")
    u = jnp.linspace(0.02, 0.98, 25)
    t = time_samplers.make(member).time(u, path)
    slope = jax.jvp(lambda u: time_samplers.make(member).time(u, path), (u,), (jnp.ones(25),))[1]
    found = weigh(member, "velocity_of_flow", path.level(t))
    np.testing.assert_allclose(found, 1 / np.asarray(slope), rtol=1e-8)


def test_elbo_in_steps_is_vdm_equation_14_and_tends_to_the_bound() -> None:
    t, schedule = jnp.linspace(0.2, 0.8, 7), schedules.make("vp_linear")
    level, before = schedule.level(t), schedule.level(t - 0.1)
    kind = predictions.make("x0")
    found = weightings.make("elbo_steps(steps=10)", schedule=schedule).weight(level, kind, t)
    gained = np.exp(before.log_snr) - np.exp(level.log_snr)
    np.testing.assert_allclose(found, 10 / 2 * gained, rtol=1e-9)

    slope = log_snr_slope(time_samplers.make("uniform"), schedule, t)
    bound = weightings.make("elbo").weight(level, kind, slope)
    many = weightings.make("elbo_steps(steps=100_000)", schedule=schedule)
    np.testing.assert_allclose(many.weight(level, kind, t), bound, rtol=1e-3)


def test_likelihood_is_songs_squared_diffusion_on_the_score() -> None:
    t, schedule = jnp.linspace(0.1, 0.9, 7), schedules.make("vp_linear")
    slope = log_snr_slope(time_samplers.make("uniform"), schedule, t)
    level, score = schedule.level(t), predictions.make("score")
    found = weightings.make("likelihood").weight(level, score, slope)
    np.testing.assert_allclose(found, 0.1 + np.asarray(t) * 19.9, rtol=1e-8)  # g² = beta


def test_edm_is_table_1_of_the_paper() -> None:
    sigma = jnp.geomspace(0.002, 80, 30)
    level = Level(jnp.ones_like(sigma), sigma)
    paper = (sigma**2 + 0.5**2) / (sigma * 0.5) ** 2
    np.testing.assert_allclose(weigh("edm", "x0", level), paper, rtol=1e-12)
    # The point of EDM's F: the weight on its error is 1.
    np.testing.assert_allclose(weigh("edm", "edm", level), 1, rtol=1e-12)


def test_simple_on_epsilon_is_one() -> None:
    level = Level.from_log_snr(jnp.asarray(LOG_SNR))
    assert (weigh("simple", "epsilon", level) == 1).all()


@pytest.mark.parametrize("bias", [0.0, -2.5])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_sigmoid_is_vdm_plus_plus(prediction: str, bias: float) -> None:
    level = Level.from_log_snr(jnp.asarray(LOG_SNR))
    kind = predictions.make(prediction, schedule=schedules.make("cosine"), sigma_data=0.5)
    slope = jnp.asarray(np.linspace(1, 9, 41))
    weight = weightings.make(f"sigmoid(bias={bias})").weight(level, kind, slope)
    paper = 1 / (1 + np.exp(LOG_SNR - bias))
    np.testing.assert_allclose(effective_weight(weight, level, kind, slope), paper, rtol=1e-9)


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize("schedule", ONE_SCHEDULE_EACH)
def test_weights_are_positive_and_finite(schedule: str, double: bool) -> None:
    with jax.enable_x64(double):
        u = np.linspace(0, 1, COUNT)
        u[:2], u[-2:] = (2.0**-24, 2.0**-20), (1 - 2.0**-20, 1 - 2.0**-24)
        u = jnp.asarray(u, float)
        process, uniform = schedules.make(schedule), time_samplers.make("uniform")
        kinds = {
            prediction: predictions.make(prediction, schedule=process, sigma_data=0.5)
            for prediction in ("x0", "v", "velocity")
        }
        _, level, slope = at_quantile(uniform, process, u)
        # The schedule is asked once for all: what differs is how it is weighted.
        for weighting, kind in zip(WEIGHTINGS, itertools.cycle(kinds.values())):
            made = weightings.make(weighting, schedule=process, sigma_data=0.5)
            weight = np.asarray(made.weight(level, kind, slope))
            assert (np.isfinite(weight) & (weight >= 0)).all(), weighting
        for prediction in kinds:
            points = Objective.make(schedule, prediction, "uniform", "simple").targets(u)
            for value in (points.weight, points.a, points.b, points.input_scale, points.c_noise):
                assert np.isfinite(value).all()


@pytest.mark.parametrize(("schedule", "times"), optimized(WAYS, "beta"))
def test_the_bound_weighs_every_log_snr_alike(schedule: str, times: str) -> None:
    tabulated = table(schedule, times)
    slope = jnp.asarray(tabulated["slope"])
    level = schedules.make(schedule).level(jnp.asarray(tabulated["time"]))
    seen = np.isclose(slope, tabulated["difference"], rtol=2e-3) & (tabulated["slope"] > 0)
    assert seen.mean() > 0.6
    for prediction in PREDICTIONS:
        kind = predictions.make(prediction, schedule=schedules.make(schedule), sigma_data=0.5)
        weight = weightings.make("elbo").weight(level, kind, slope)
        # By definition 1/2 |d log_snr/du| |d eps|², here for an error of 1 in the prediction.
        moved = np.asarray(split(jnp.ones_like(slope), jnp.zeros_like(slope), level, kind)[1])
        half = 0.5 * tabulated["difference"] * moved**2
        np.testing.assert_allclose((np.asarray(weight) / half)[seen], 1, rtol=3e-3)
        effective = np.asarray(effective_weight(weight, level, kind, slope))
        np.testing.assert_allclose(effective[tabulated["slope"] > 0], 1, rtol=1e-9)


def half_mutual_information(low: float, high: float) -> float:
    """1/2 ∫ E|eps - eps_hat|² d log_snr for normal data, per dimension, in closed form.

    The error of the exact denoiser is SNR s²/(SNR s² + 1) (Guo et al. 2005, on Gaussian channels).
    """
    return 0.5 * (np.log1p(DATA_STD**2 * np.exp(high)) - np.log1p(DATA_STD**2 * np.exp(low)))


def expected_losses(objective: Objective, u: np.ndarray) -> np.ndarray:
    """The expected loss at each quantile, of a network that is exact for normal data.

    The error is linear in (x_0, eps), so four points with their moments give its mean square.
    """
    points = objective.targets(jnp.asarray(u))
    x0 = DATA_STD * jnp.tile(jnp.array([1.0, 1.0, -1.0, -1.0]), (u.size, 1))
    eps = jnp.tile(jnp.array([1.0, -1.0, 1.0, -1.0]), (u.size, 1))

    def network(scaled: Array, label: Array) -> Array:
        alpha, sigma = points.level.alpha[:, None], points.level.sigma[:, None]
        x = scaled / points.input_scale[:, None]
        guess = alpha * DATA_STD**2 / (alpha**2 * DATA_STD**2 + sigma**2) * x
        noise = sigma / (alpha**2 * DATA_STD**2 + sigma**2) * x
        return points.a[:, None] * guess + points.b[:, None] * noise

    return np.asarray(denoising_loss(network, points, x0, eps))


EDGES = (0.01, 0.99)  # of the quantiles: some schedules reach infinite log-SNR at 0 and 1
MIDPOINTS = EDGES[0] + (EDGES[1] - EDGES[0]) * (np.arange(COUNT) + 0.5) / COUNT


@pytest.mark.parametrize(("schedule", "times"), optimized(WAYS, "beta"))
def test_the_exact_denoiser_has_the_exact_loss(schedule: str, times: str) -> None:
    """The loss depends on density times weight alone, however the two are split."""
    for prediction, weighting, exact in (
        ("v", "elbo", half_mutual_information),
        ("epsilon", "elbo", half_mutual_information),
        ("edm", "sigmoid", sigmoid_weighted_information),
    ):
        objective = Objective.make(schedule, prediction, times, weighting)
        ends = objective.schedule.level(
            objective.time_sampler.time(jnp.array(EDGES), objective.schedule)
        )
        high, low = (float(value) for value in ends.log_snr)
        loss = (EDGES[1] - EDGES[0]) * expected_losses(objective, MIDPOINTS).mean()
        assert loss == pytest.approx(exact(low, high), rel=2e-3)


def sigmoid_weighted_information(low: float, high: float) -> float:
    def integrand(log_snr: float) -> float:
        signal = DATA_STD**2 * np.exp(log_snr)
        return 0.5 * signal / (signal + 1) / (1 + np.exp(log_snr))

    return integrate.quad(integrand, low, high, limit=200)[0]
