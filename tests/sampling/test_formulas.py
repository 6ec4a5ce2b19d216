"""Formulas that grids, guidance and solvers state of themselves, each worked out in plain NumPy."""

import math
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array
from scipy import stats

from diffusion_jax.process.denoiser import as_denoiser
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.grids import grids
from diffusion_jax.sampling.grids.base import at_times
from diffusion_jax.sampling.guidance import guidance
from diffusion_jax.sampling.solvers import solvers
from diffusion_jax.sampling.thresholds import thresholds

N = 5
I = np.arange(N)  # noqa: E741
J = I[::-1]
LOW, HIGH = 0.002, 80.0
Q = stats.beta(0.6, 0.6).ppf

# What a grid says, by what its nodes are: sigma/alpha of EDM's process, the time of a flow, or
# the label of a table of 1000.
NOISE = [
    ("log_snr", "log sigma_max + i/(N − 1) (log", HIGH * (LOW / HIGH) ** (I / (N - 1))),
    (
        "polyexponential",
        "log sigma_min + (1 − i/(N − 1))^rho",
        LOW * (HIGH / LOW) ** ((1 - I / (N - 1)) ** 1.5),
    ),
    (
        "karras",
        "(sigma_max^(1/rho) + i/(N − 1) (sigma_min^(1/rho) − sigma_max^(1/rho)))^rho",
        (HIGH ** (1 / 7) + I / (N - 1) * (LOW ** (1 / 7) - HIGH ** (1 / 7))) ** 7,
    ),
    (
        "beta(along=noise)",
        "sigma_min + Q(1 − i/(N − 1)) (sigma_max − sigma_min)",
        LOW + Q(1 - I / (N - 1)) * (HIGH - LOW),
    ),
    ("noise_table(sigmas=(9, 4, 2, 1, 0.5))", "sigmas_i for N levels", np.array([9, 4, 2, 1, 0.5])),
]
FLOW = [
    ("uniform", "t_max + i/N (t_min − t_max)", 1 - I / N),
    ("power(power=3)", "(t_max^(1/power) + i/N", (1 - I / N) ** 3),
    ("beta", "t_min + Q(1 − i/N) (t_max − t_min)", Q(1 - I / N)),
    ("shifted(grid=uniform, shift=3)", "shift · s_i of grid", 3 * (1 - I / N) / (3 - 2 * I / N)),
]
LABELS = [
    ("trailing", "t_max round(T (1 − i/N))/T", np.rint(1000 * (1 - I / N)) - 1),
    ("leading(offset=1, extra=1)", "j ⌊T/(N + extra)⌋ + offset", (J + 1) * 166 + 1),
    ("linspace", "round(j (T − 1)/(N + extra − 1))", np.rint(J * 999 / 4)),
    ("quadratic", "⌊reach T (j/(N − 1))²⌋", np.floor(800 * (J / 4) ** 2)),
    ("strided", "j stride, j = N − 1 … 0, ⌈T/stride⌉ = N", J * 200),
    ("sections", "start + round(j (c − 1)/(n − 1))", np.rint(J * 999 / 4)),
    (
        "iddpm",
        "T − 1 − ⌊skipped + i (T − 1 − skipped)/(N − 1) + 1/2⌋",
        999 - np.floor(8 + I * 991 / 4 + 0.5),
    ),
]


def of_grid(spec: str, said: str, schedule: str) -> tuple[np.ndarray, np.ndarray]:
    assert said in grids.formula(spec.partition("(")[0])
    nodes = grids.make(spec)(schedules.make(schedule), N)
    return np.asarray(nodes.level.noise_to_signal)[:N], np.asarray(nodes.time)[:N]


@pytest.mark.parametrize(("spec", "said", "wanted"), NOISE, ids=[row[0] for row in NOISE])
def test_a_grid_of_noise_is_what_it_says(spec: str, said: str, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(of_grid(spec, said, "edm")[0], wanted, rtol=1e-3)


@pytest.mark.parametrize(("spec", "said", "wanted"), FLOW, ids=[row[0] for row in FLOW])
def test_a_grid_of_times_is_what_it_says(spec: str, said: str, wanted: np.ndarray) -> None:
    # A flow's first node has no signal, where a shift would lead beyond its end.
    np.testing.assert_allclose(of_grid(spec, said, "rectified_flow")[1], wanted, rtol=1e-4)


@pytest.mark.parametrize(("spec", "said", "wanted"), LABELS, ids=[row[0] for row in LABELS])
def test_a_grid_of_labels_is_what_it_says(spec: str, said: str, wanted: np.ndarray) -> None:
    labels = of_grid(spec, said, "ddpm_linear")[1] * 1000 - 1
    np.testing.assert_allclose(labels, wanted, atol=2e-3)


X = np.array([[1.0, -2.0, 0.5]])
WITH, WITHOUT = np.array([[0.6, -0.9, 0.3]]), np.array([[0.1, -0.8, 0.7]])
LEVEL = Level(jnp.float32(0.6), jnp.float32(0.8))


def denoiser(x: Array, level: Level, condition: dict[str, Array]) -> Array:
    """WITH where the condition is 1, WITHOUT where it is 0."""
    given = condition["label"][:, None]
    return jnp.asarray(given * WITH + (1 - given) * WITHOUT, x.dtype)


def straight_line(scale: float) -> np.ndarray:
    return WITHOUT + scale * (WITH - WITHOUT)


def rescaled() -> np.ndarray:
    guided = straight_line(3.0)
    return (0.4 * WITH.std() / guided.std() + 0.6) * guided


def projected() -> np.ndarray:
    delta = WITH - WITHOUT
    g = delta * min(1, 0.3 / np.linalg.norm(delta))
    parallel = (g * WITH).sum() / (WITH**2).sum() * WITH
    return WITH + 2 * (g - parallel + 0.5 * parallel)


def best_scaled() -> np.ndarray:
    alpha, sigma = 0.6, 0.8
    v, null = ((X - alpha * x0) / sigma - x0 for x0 in (WITH, WITHOUT))
    a = (v * null).sum() / (null**2).sum()
    guided = a * null + 3 * (v - a * null)
    return (X - sigma * guided) / (alpha + sigma)  # the x_0 of eps - x_0 = guided


GUIDED = [
    ("classifier_free(scale=3)", "D(x, ∅) + scale (D(x, c) − D(x, ∅))", lambda: straight_line(3)),
    ("none", "D = D(x, c)", lambda: WITH),
    ("rescaled(scale=3, phi=0.4)", "(phi std(y(x, c))/std(y_g) + 1 − phi) y_g", rescaled),
    (
        "apg(scale=3, eta=0.5, longest=0.3, momentum=0.0)",
        "D(x, c) + (scale − 1) (g⊥ + eta g∥), g = Δ min(1, longest/|Δ|)",
        projected,
    ),
    ("cfg_zero(scale=3, zero_steps=0)", "a v(x, ∅) + scale (v(x, c) − a v(x, ∅))", best_scaled),
]


@pytest.mark.parametrize(("spec", "said", "wanted"), GUIDED, ids=[row[0] for row in GUIDED])
def test_guidance_is_what_it_says(spec: str, said: str, wanted: Callable[[], np.ndarray]) -> None:
    assert said in guidance.formula(spec.partition("(")[0])
    guided = guidance.make(spec)(denoiser, {"label": jnp.zeros(1)})
    found = guided(jnp.asarray(X, jnp.float32), LEVEL, {"label": jnp.ones(1)})
    np.testing.assert_allclose(found, wanted(), rtol=1e-4)


def test_a_dynamic_threshold_is_what_it_says() -> None:
    assert "min(max(x₀, −s), s)/s, s = min(max(quantile(|x₀|, ratio)" in thresholds.formula(
        "dynamic"
    )
    x0 = np.array([[0.5, -4.0, 2.0, 1.0]])
    s = np.quantile(np.abs(x0), 0.5)
    found = thresholds.make("dynamic(ratio=0.5)")(jnp.asarray(x0, jnp.float32))
    np.testing.assert_allclose(found, np.clip(x0, -s, s) / s, rtol=1e-5)


A_T, S_T, A_S, S_S = 0.6, 0.8, 0.8, 0.6  # of one step of the circle
H = math.log(A_S / S_S) - math.log(A_T / S_T)
D = 0.5 * X
EPS = (X - A_T * D) / S_T
Z = np.array([[0.3, -1.1, 0.7]])
FRESH = S_T**2 - (A_T / A_S) ** 2 * S_S**2
TAU = 0.5 * S_S / S_T * math.sqrt(FRESH)
Q_T, Q_S = S_T / A_T, S_S / A_S
UP = 0.5 * Q_S * math.sqrt(1 - (Q_S / Q_T) ** 2)
DOWN = math.sqrt(Q_S**2 - UP**2)
SCORE = -EPS / S_T
G2 = S_T**2 - (A_T / A_S) ** 2 * S_S**2
STEPS = [
    (
        "ddim(eta=0.5)",
        "α_s D + √(σ_s² − τ²) ε̂ + τ z, τ² = eta² σ_s²/σ_t²",
        A_S * D + math.sqrt(S_S**2 - TAU**2) * EPS + TAU * Z,
    ),
    ("jump", "α_s J + σ_s (x_t − α_t J)/σ_t", A_S * D + S_S * (X - A_T * D) / S_T),
    (
        "ancestral",
        "r σ_s²/σ_t² x_t + α_s v/σ_t² D + √w z",
        A_T / A_S * S_S**2 / S_T**2 * X
        + A_S * FRESH / S_T**2 * D
        + math.sqrt(FRESH) * S_S / S_T * Z,
    ),
    (
        "euler_ancestral(eta=0.5)",
        "D + down/q_t (y_t − D) + up z",
        A_S * (D + DOWN / Q_T * (X / A_T - D) + UP * Z),
    ),
    (
        "consistency(sigma_min=0.1)",
        "α_s f(x_t) + √(σ_s² − α_s² sigma_min²) z",
        A_S * D + math.sqrt(S_S**2 - A_S**2 * 0.01) * Z,
    ),
    (
        "gamma_sampling(gamma=0.6)",
        "q_low = √(1 − gamma²) q_s",
        A_S * (D + 0.8 * Q_S * EPS + 0.6 * Q_S * Z),
    ),
    (
        "reverse_diffusion",
        "(2 − r) x_t + G² ∇log p + G z",
        (2 - A_T / A_S) * X + G2 * SCORE + math.sqrt(G2) * Z,
    ),
]


@pytest.mark.parametrize(("spec", "said", "wanted"), STEPS, ids=[row[0] for row in STEPS])
def test_a_step_is_what_it_says(spec: str, said: str, wanted: np.ndarray) -> None:
    name = spec.partition("(")[0]
    assert said in solvers.formula(name)
    circle = schedules.make("trig_flow")
    time = jnp.array([math.asin(S_T), math.asin(S_S), 0.1]) * 2 / jnp.pi
    nodes = at_times(circle, time)
    solver = solvers.make(spec)
    state = solver.init(jnp.asarray(X, jnp.float32), nodes)
    half = as_denoiser(lambda x, level, condition: x / 2)
    stepped = solver.step(state, nodes[0], nodes[1], half, lambda k: jnp.asarray(Z, jnp.float32))
    np.testing.assert_allclose(stepped.x, wanted, rtol=1e-4)
