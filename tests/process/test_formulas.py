"""Formulas that members state of themselves, each worked out beside it in plain NumPy."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import predictions
from diffusion_jax.process.schedules import schedules
from diffusion_jax.process.time_samplers import log_snr_slope, time_samplers
from diffusion_jax.process.weightings import weightings

T = np.array([0.2, 0.4, 0.6, 0.9])  # times, of which those of tables of 10 are entries
U = np.array([0.1, 0.3, 0.55, 0.8])  # quantiles
Curve = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def preserving(alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return alpha, np.sqrt(1 - alpha**2)


def of_log_snr(log_snr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return preserving(np.sqrt(1 / (1 + np.exp(-log_snr))))


def table(betas: np.ndarray) -> Curve:
    kept = np.cumprod(1 - betas)
    return lambda t: preserving(np.sqrt(kept[np.rint(t * len(betas)).astype(int) - 1]))


def logistic(z: np.ndarray | float) -> np.ndarray:
    return 1 / (1 + np.exp(-np.asarray(z)))


def grown(t: np.ndarray) -> np.ndarray:
    return 0.1 * t + (20.0 - 0.1) * t**2 / 2


def squared_cosine(t: np.ndarray | float) -> np.ndarray:
    return np.cos(np.pi / 2 * (np.asarray(t) + 0.008) / 1.008) ** 2


INDEX = np.arange(1, 11)
PART = (INDEX - 1) / 9
# spec, a piece of its formula, and (alpha, sigma) by it.
SCHEDULES: list[tuple[str, str, Curve]] = [
    ("cosine", "α = cos(πt/2)", lambda t: (np.cos(np.pi * t / 2), np.sin(np.pi * t / 2))),
    ("crash", "σ = sin²(πt/2)", lambda t: preserving(np.sin(np.pi * t / 2) ** 2)[::-1]),
    ("edm", "α = 1, σ = t", lambda t: (1 + 0 * t, t)),
    (
        "cauchy(mean=1, scale=2)",
        "mean + scale tan(π/2 (1 − 2t))",
        lambda t: of_log_snr(1 + 2 * np.tan(np.pi / 2 * (1 - 2 * t))),
    ),
    (
        "laplace(mean=1, scale=2, log_snr_min=-9)",
        "mean − scale sgn(1/2 − t) log(1 − |1 − 2t|)",
        lambda t: of_log_snr(1 - 2 * np.sign(0.5 - t) * np.log(1 - np.abs(1 - 2 * t))),
    ),
    (
        "iddpm_cosine",
        "f(t) = cos(π/2 (t + offset)/(1 + offset))",
        lambda t: preserving(np.sqrt(squared_cosine(t) / squared_cosine(0))),
    ),
    (
        "linear_log_snr",
        "log_snr_max + t (log_snr_min − log_snr_max)",
        lambda t: of_log_snr(13.3 + t * (-5.0 - 13.3)),
    ),
    ("linear_vp", "α = 1 − t", lambda t: preserving(1 - t)),
    (
        "log_snr_shift(schedule=linear_vp, shift=-1)",
        "λ_inner(t) + shift",
        lambda t: of_log_snr(2 * np.log((1 - t) / np.sqrt(1 - (1 - t) ** 2)) - 1),
    ),
    (
        "interpolated_shift(schedule=linear_log_snr, clean=1, noisy=-2)",
        "λ_inner(t) + (1 − τ) clean + τ noisy",
        lambda t: of_log_snr(13.3 - 18.3 * t + (1 - t) - 2 * t),
    ),
    (
        "noise_scaled(schedule=rectified_flow, scale=2)",
        "σ(t) = scale σ_inner(t)",
        lambda t: (1 - t, 2 * t),
    ),
    ("polynomial(power=3)", "α = (1 − t)^power", lambda t: ((1 - t) ** 3, 1 - (1 - t) ** 3)),
    (
        "rectified_flow(shift=3)",
        "σ = shift t/(1 + (shift − 1) t)",
        lambda t: (1 - 3 * t / (1 + 2 * t), 3 * t / (1 + 2 * t)),
    ),
    (
        "rescaled(schedule=rectified_flow)",
        "λ_inner(t)",
        lambda t: of_log_snr(2 * np.log(1 / t - 1)),
    ),
    (
        "sigmoid(tau=2)",
        "α² = (s(end/tau) − s(z))/(s(end/tau) − s(start/tau))",
        lambda t: preserving(
            np.sqrt((logistic(1.5) - logistic((-3 + 6 * t) / 2)) / (logistic(1.5) - logistic(-1.5)))
        ),
    ),
    ("sub_vp", "σ = 1 − exp(−B)", lambda t: (np.exp(-grown(t) / 2), 1 - np.exp(-grown(t)))),
    ("vp_linear", "α = exp(−B/2)", lambda t: preserving(np.exp(-grown(t) / 2))),
    (
        "trig_flow(scale=0.5)",
        "σ = scale sin(πt/2)",
        lambda t: (np.cos(np.pi * t / 2), np.sin(np.pi * t / 2) / 2),
    ),
    ("ve", "sigma_min (sigma_max/sigma_min)^t", lambda t: (1 + 0 * t, 0.01 * 5000**t)),
    ("ve_sqrt", "σ = √t", lambda t: (1 + 0 * t, np.sqrt(t))),
    (
        "zero_terminal_snr(schedule=linear_log_snr)",
        "(a(t) − a(t_max)) a(t_min)/(a(t_min) − a(t_max))",
        lambda t: preserving(
            (of_log_snr(13.3 - 18.3 * t)[0] - of_log_snr(np.array(-5.0))[0])
            * of_log_snr(np.array(13.3))[0]
            / (of_log_snr(np.array(13.3))[0] - of_log_snr(np.array(-5.0))[0])
        ),
    ),
    (
        "ddpm_linear(steps=100)",
        "βᵢ = 1000/N (beta_min + (beta_max − beta_min) (i − 1)/(N − 1))",
        table(10 * (1e-4 + (0.02 - 1e-4) * np.arange(100) / 99)),
    ),
    (
        "ddpm_cosine(steps=10)",
        "βᵢ = min(1 − f(i/N)/f((i − 1)/N), largest_beta)",
        table(np.minimum(1 - squared_cosine(INDEX / 10) / squared_cosine(INDEX / 10 - 0.1), 0.999)),
    ),
    (
        "scaled_linear(steps=10, beta_max=0.5)",
        "√βᵢ = √beta_min + (√beta_max − √beta_min) (i − 1)/(N − 1)",
        table((np.sqrt(0.00085) + (np.sqrt(0.5) - np.sqrt(0.00085)) * PART) ** 2),
    ),
    (
        "sigmoid_beta(steps=10, beta_max=0.5)",
        "βᵢ = beta_min + (beta_max − beta_min)/(1 + exp(−zᵢ)), zᵢ = −6 + 12 (i − 1)/(N − 1)",
        table(1e-4 + (0.5 - 1e-4) / (1 + np.exp(6 - 12 * PART))),
    ),
]


@pytest.mark.parametrize(("spec", "said", "curve"), SCHEDULES, ids=[s[0] for s in SCHEDULES])
def test_a_schedule_is_what_it_says(spec: str, said: str, curve: Curve) -> None:
    assert said in schedules.formula(spec.partition("(")[0])
    level = schedules.make(spec).level(jnp.asarray(T, jnp.float32))
    alpha, sigma = curve(T)
    np.testing.assert_allclose(level.alpha, alpha, rtol=3e-4, atol=2e-6)
    np.testing.assert_allclose(level.sigma, sigma, rtol=3e-4, atol=2e-6)


# The times of a process with t = sigma/alpha, so that what is drawn is read off directly; or of
# one whose time runs from 0 to 1.
ODDS = "edm(sigma_min=1e-6, sigma_max=1e6)"
PHI = stats.norm.ppf


def interpolated(u: np.ndarray) -> np.ndarray:
    def inner(side: float) -> np.ndarray:
        centre = 0.5 * 64 / side
        low, high = np.arctan(0.002 / centre), np.arctan(80 / centre)
        return np.log(centre * np.tan(low + u * (high - low)))

    return np.exp(u * inner(32.0) + (1 - u) * inner(64.0))


def between(u: np.ndarray) -> np.ndarray:
    low, high = (logistic((np.log(end) + 1.2) / 0.6) for end in (0.002, 80))
    q = low + u * (high - low)
    return np.exp(-1.2 + 0.6 * np.log(q / (1 - q)))


SAMPLERS: list[tuple[str, str, str, Callable[[np.ndarray], np.ndarray]]] = [
    ("uniform", "ve_sqrt", "t_min + u (t_max − t_min)", lambda u: 4e-4 + u * (1e4 - 4e-4)),
    ("discrete(steps=7)", "rectified_flow", "t_max ⌈u T⌉/T", lambda u: np.ceil(u * 7) / 7),
    (
        "log_uniform",
        ODDS,
        "(1 − u) log sigma_min + u log sigma_max",
        lambda u: 0.002 ** (1 - u) * 80**u,
    ),
    ("beta(a=2, b=3)", "rectified_flow", "u = I(τ; a, b)", lambda u: stats.beta.ppf(u, 2, 3)),
    (
        "mode(scale=0.8)",
        "rectified_flow",
        "u − scale (sin²(πu/2) − u)",
        lambda u: u - 0.8 * (np.sin(np.pi * u / 2) ** 2 - u),
    ),
    (
        "cosmap",
        "rectified_flow",
        "1 − 1/(tan(πu/2) + 1)",
        lambda u: 1 - 1 / (np.tan(np.pi * u / 2) + 1),
    ),
    (
        "cosine",
        ODDS,
        "σ/α = sigma_data tan(φ)",
        lambda u: 0.5 * np.tan(np.arctan(0.004) + u * (np.arctan(160) - np.arctan(0.004))),
    ),
    ("cosine_interpolated", ODDS, "log(sigma_data size/d tan φ(u, d))", interpolated),
    ("log_logistic", ODDS, "mean + scale log(q/(1 − q))", between),
    ("log_normal", ODDS, "mean + std Φ⁻¹(u)", lambda u: np.exp(-1.2 + 1.2 * PHI(u))),
    (
        "split_log_normal(mode=0, std_low=1, std_high=3)",
        ODDS,
        "mode + std_low Φ⁻¹(u/(2w)) for u < w",
        lambda u: np.exp(
            np.where(
                u < 0.25,
                PHI(np.minimum(u, 0.25) / 0.5),
                -3 * PHI((1 - np.maximum(u, 0.25)) / 1.5),
            )
        ),
    ),
    (
        "logit_normal(mean=0.5, std=2)",
        "rectified_flow",
        "log(τ/(1 − τ)) = mean + std Φ⁻¹(u)",
        lambda u: logistic(0.5 + 2 * PHI(u)),
    ),
    (
        "quantiles(log_noise=(-1, 0, 4))",
        ODDS,
        "log_noiseᵢ at u = i/(n − 1)",
        lambda u: np.exp(np.interp(u, (0, 0.5, 1), (-1, 0, 4))),
    ),
]


@pytest.mark.parametrize(
    ("spec", "schedule", "said", "time"), SAMPLERS, ids=[s[0] for s in SAMPLERS]
)
def test_a_time_sampler_is_what_it_says(
    spec: str, schedule: str, said: str, time: Callable[[np.ndarray], np.ndarray]
) -> None:
    assert said in time_samplers.formula(spec.partition("(")[0])
    drawn = time_samplers.make(spec).time(jnp.asarray(U, jnp.float32), schedules.make(schedule))
    np.testing.assert_allclose(drawn, time(U), rtol=1e-3)


@pytest.mark.parametrize("name", ["low_discrepancy", "antithetic"])
def test_a_batch_depends_on_itself_as_it_says(name: str) -> None:
    u = jnp.array([0.7, 0.1, 0.2, 0.9, 0.4], jnp.float32)
    found = time_samplers.make(name).stratify(u)
    count = len(u)
    if name == "low_discrepancy":
        assert "uᵢ = (u₀ + i/B) mod 1" in time_samplers.formula(name)
        np.testing.assert_allclose(found, (0.7 + np.arange(count) / count) % 1, rtol=1e-5)
    else:
        assert "uᵢ = 1 − uⱼ, i = j + ⌈B/2⌉" in time_samplers.formula(name)
        np.testing.assert_allclose(found[3:], 1 - found[:2], rtol=1e-5)


A, S = 0.8, 0.5  # a level on no curve of note
SNR = (A / S) ** 2
SLOPE = 3.0
TIME = S / (S + A)
# What a weight is stated on: how x_0 = 1 + d, and eps with it, differ when x stays.
ERRORS = {
    "on |x₀ − x̂₀|²": 1.0,
    "on |ε − ε̂|²": (A / S) ** 2,
    "on |(ε − x₀) − (ε̂ − x̂₀)|²": (A / S + 1) ** 2,
}
WEIGHTINGS: list[tuple[str, str, float]] = [
    ("elbo", "w = |dλ/du|/2, on |ε", SLOPE / 2),
    ("likelihood", "w = |dλ/du|, on |ε", SLOPE),
    ("sigmoid(bias=2)", "(2 (1 + exp(λ − bias)))", SLOPE / 2 / (1 + SNR * np.exp(-2))),
    ("edm(sigma_data=0.4)", "(s² + sigma_data²)", ((S / A) ** 2 + 0.16) / (S / A * 0.4) ** 2),
    ("flow", "w = 1, on |(ε − x₀)", 1.0),
    ("cosmap", "2/(π (1 − 2t + 2t²))", 2 / np.pi / (1 - 2 * TIME + 2 * TIME**2)),
    (
        "logit_normal(mean=0.5, std=2)",
        "(std √(2π) t (1 − t))",
        float(stats.norm.pdf(np.log(TIME / (1 - TIME)), 0.5, 2) / (TIME * (1 - TIME))),
    ),
    ("snr(plus=2)", "SNR + plus, on |x₀", SNR + 2),
    ("truncated_snr(floor=3)", "max(SNR, floor), on |x₀", 3.0),
    ("min_snr(gamma=2)", "min(SNR, gamma), on |x₀", 2.0),
    ("soft_min_snr(gamma=2)", "gamma SNR/(SNR + gamma), on |x₀", 2 * SNR / (SNR + 2)),
    ("p2(k=2, gamma=0.5)", "(k + SNR)^(−gamma), on |ε", (2 + SNR) ** -0.5),
]


@pytest.mark.parametrize(("spec", "said", "weight"), WEIGHTINGS, ids=[w[0] for w in WEIGHTINGS])
@pytest.mark.parametrize("prediction", ["x0", "v"])
def test_a_weighting_is_what_it_says(prediction: str, spec: str, said: str, weight: float) -> None:
    formula = weightings.formula(spec.partition("(")[0])
    assert said in formula
    stated = next(error for where, error in ERRORS.items() if formula.endswith(where))
    # The same mistake, of 1 in x_0, as the prediction sees it.
    seen = {"x0": 1.0, "v": A * A / S + S}[prediction]
    level = Level(jnp.float32(A), jnp.float32(S))
    found = weightings.make(spec).weight(level, predictions.make(prediction), jnp.float32(SLOPE))
    assert float(found) * seen**2 == pytest.approx(weight * stated, rel=1e-4)


def test_the_weight_of_steps_is_what_it_says() -> None:
    assert "T/2 (SNR(s)/SNR(t) − 1), s = t − t_max/T, on |ε" in weightings.formula("elbo_steps")
    schedule = schedules.make("rectified_flow")
    bound = weightings.make("elbo_steps(steps=10)", schedule=schedule)
    level = schedule.level(jnp.float32(0.5))
    found = bound.weight(level, predictions.make("epsilon"), jnp.float32(1.0))
    assert float(found) == pytest.approx(10 / 2 * ((0.6 / 0.4) ** 2 - 1), rel=1e-4)


def test_predictions_are_what_they_say() -> None:
    level, x0, eps = Level(jnp.float32(A), jnp.float32(S)), 2.0, -3.0
    root = np.sqrt(S**2 + A**2 * 0.16)
    said = {
        "x0": ("y = x₀", x0),
        "epsilon": ("y = ε", eps),
        "v": ("y = α ε − σ x₀", A * eps - S * x0),
        "score": ("y = −ε/σ", -eps / S),
        "scaled_score": ("y = −ε", -eps),
        "edm(sigma_data=0.4)": (
            "y = σ/(sigma_data s) x₀ − sigma_data α/s ε, s² = σ² + α² sigma_data²",
            S / (0.4 * root) * x0 - 0.4 * A / root * eps,
        ),
    }
    for spec, (formula, value) in said.items():
        assert predictions.formula(spec.partition("(")[0]) == formula
        a, b = predictions.make(spec).coefficients(level)
        assert float(a * x0 + b * eps) == pytest.approx(value, rel=1e-5)


def test_predictions_of_a_schedule_are_what_they_say() -> None:
    schedule, t, steps, x0, eps = schedules.make("trig_flow"), 0.5, 10, 2.0, -3.0
    level = schedule.level(jnp.float32(t))
    assert predictions.formula("velocity") == "y = α′(t) x₀ + σ′(t) ε"
    a, b = predictions.make("velocity", schedule=schedule).coefficients(level)
    slope = np.pi / 2 * np.sqrt(0.5)
    assert float(a * x0 + b * eps) == pytest.approx(-slope * x0 + slope * eps, rel=1e-4)

    formula = "y = α_s (1 − r² σ_s²/σ²) x₀ + r σ_s²/σ² x, r = α/α_s, s = t − t_max/T"
    assert predictions.formula("previous") == formula
    a, b = predictions.make(f"previous(steps={steps})", schedule=schedule).coefficients(level)
    alpha = sigma = np.sqrt(0.5)
    before = np.pi / 2 * (t - 1 / steps)
    r, variance = alpha / np.cos(before), np.sin(before) ** 2
    x = alpha * x0 + sigma * eps
    value = np.cos(before) * (1 - r**2 * variance / sigma**2) * x0 + r * variance / sigma**2 * x
    assert float(a * x0 + b * eps) == pytest.approx(value, rel=1e-4)


def test_the_slope_of_a_uniform_log_snr_is_its_range() -> None:
    """|dλ/du|, of which the formulas of weightings speak."""
    u = jnp.asarray(U, jnp.float32)
    slope = log_snr_slope(time_samplers.make("uniform"), schedules.make("linear_log_snr"), u)
    np.testing.assert_allclose(slope, 18.3, rtol=1e-4)


def test_all_that_can_be_worked_out_here_is() -> None:
    def names(rows: list) -> set[str]:
        return {row[0].partition("(")[0] for row in rows}

    # Any table, a network, and one that is tested with its own.
    assert set(schedules) - names(SCHEDULES) <= {
        *("alphas_cumprod", "betas", "learned_log_snr", "log_snr_table"),
    }
    assert set(time_samplers) - names(SAMPLERS) <= {"low_discrepancy", "antithetic", "loss_aware"}
    assert set(weightings) - names(WEIGHTINGS) <= {"simple", "error_of", "elbo_steps"}
