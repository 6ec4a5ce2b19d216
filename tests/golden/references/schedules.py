"""Noise schedules in continuous time, and what their networks see and give."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy import stats

from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import Prediction, predictions
from diffusion_jax.process.schedules import Schedule, schedules
from diffusion_jax.process.schedules.learned import MonotoneNetwork
from diffusion_jax.process.schedules.table import Table
from diffusion_jax.sampling.solvers.diffusion import coefficient, half_squared_diffusion
from tests.golden.check import Comparisons, Known, checks, known, same
from tests.golden.edm_wrappers import exploding, wrapper
from tests.golden.load import Case
from tests.golden.losses import restated
from tests.golden.replay import at_times, times_of
from tests.golden.sit import path
from tests.golden.vp_schedules import told


def monotone(offset: np.ndarray, slope: np.ndarray, *hidden: np.ndarray) -> MonotoneNetwork:
    """VDM's gamma, offset + |slope| t + the hidden units, whose ends are ours to state.

    Args:
        offset: gamma at t = 0, but for the hidden units, (1,).
        slope: how much it rises, but for them, (1,).
        hidden: rate, bias and weight of each.
    """
    rise, *units = jnp.asarray(slope.item()), *map(jnp.asarray, hidden)
    network = MonotoneNetwork(0.0, 1.0, rise, *units)
    height = jax.jit(MonotoneNetwork.height)(network, np.array([0.0, 1.0]))
    clean, noisy = map(jnp.asarray, -(offset + np.asarray(height)))
    return MonotoneNetwork(noisy, clean, rise, *units)


def _level(schedule: Schedule, time: Any) -> tuple[Level, Level]:
    """The level and its rate, in numpy."""
    nodes = at_times(schedule, time)
    return jax.tree.map(np.asarray, (nodes.level, nodes.rate))


@checks("dpm_solver", "schedules")
@checks("unipc", "schedules")
def half_log_snr(case: Case) -> Comparisons:
    """NoiseScheduleVP: lambda is half the log-SNR."""
    schedule, last = told(case), float(case["T"])
    if "t_array" in case:
        # Only here may entries of little signal be cut off: time goes on to 1 all the same.
        yield same("knots", schedule._times, np.ravel(case["t_array"]), rtol=1e-12)
    if "log_alpha_array" in case and "betas" in case:
        knots = np.ravel(case["log_alpha_array"])
        whole = Table.from_betas(jnp.asarray(np.ravel(case["betas"])))
        yield same("log alpha of betas", whole.log_alpha[: len(knots)], knots, rtol=1e-10)
    yield same("last time", schedule.t_max, last)
    level, _ = _level(schedule, case["t"])
    yield same("log alpha", np.log(level.alpha), case["log_alpha"], rtol=1e-10, atol=1e-14)
    yield same("alpha", level.alpha, case["alpha"], rtol=1e-10)
    yield same("sigma", level.sigma, case["sigma"], rtol=1e-8)
    yield same("lambda", np.asarray(level.log_snr) / 2, case["lam"], rtol=1e-8, atol=1e-9)
    time = times_of(schedule, 2 * case["lam_query"])
    yield same("time of lambda", time, case["t_of_lam"], rtol=1e-8, atol=1e-9)


def drift_and_diffusion(level: Level, slope: Level) -> tuple[np.ndarray, np.ndarray]:
    """Drift factor f and diffusion g of dx = f x dt + g dw (Kingma et al. 2021, eq. 19-20)."""
    f = slope.alpha / level.alpha
    return f, np.sqrt(np.maximum(2 * level.sigma * slope.sigma - 2 * f * level.sigma**2, 0))


@checks("score_sde", "sde_lib")
def sde_lib(case: Case) -> Comparisons:
    kwargs, kind = case.kwargs, case.extra["sde"]
    steps = int(kwargs.get("N", 1000))
    low, high = kwargs.get("sigma_min", 0.01), kwargs.get("sigma_max", 50.0)
    first, last = kwargs.get("beta_min", 0.1), kwargs.get("beta_max", 20.0)
    specs = {
        "vp": f"vp_linear(beta_min={first}, beta_max={last})",
        "subvp": f"sub_vp(beta_min={first}, beta_max={last})",
        "ve": f"ve(sigma_min={low}, sigma_max={high})",
    }
    schedule = schedules.make(Known("sde", specs)[kind])
    level, slope = _level(schedule, case["t"])
    yield same("alpha", level.alpha, case["mean_coeff"], rtol=1e-10)
    yield same("sigma", level.sigma, case["std"], rtol=1e-9)
    drift, noise = drift_and_diffusion(level, slope)
    yield same("drift", drift, case["drift_coeff"], rtol=1e-9, atol=1e-12)
    yield same("diffusion", noise, case["diffusion"], rtol=1e-8)
    scale = high if kind == "ve" else 1.0
    prior = stats.norm(0, scale).logpdf(case["z"]).sum(axis=1)
    yield same("prior", prior, case["prior_logp"], rtol=1e-10)

    # Their chain: from entry floor(t (N - 1)) to the one before.
    entry = (case["t"] * (steps - 1)).astype(int)
    if kind == "vp":
        chain = schedules.make(
            f"ddpm_linear(steps={steps}, beta_min={first / 1000}, beta_max={last / 1000})"
        )
        signal = np.append(1.0, _level(chain, np.arange(1, steps + 1) / steps)[0].alpha)
        kept = signal[1:] / signal[:-1]
        yield same("betas", 1 - kept**2, case["discrete_betas"], rtol=1e-9)
        yield same("alphas_cumprod", signal[1:] ** 2, case["alphas_cumprod"], rtol=1e-10)
        left = np.sqrt(1 - signal[1:] ** 2)
        yield same("sigmas", left, case["sqrt_1m_alphas_cumprod"], rtol=1e-9)
        change, added = kept[entry] - 1, np.sqrt(1 - kept[entry] ** 2)
    elif kind == "ve":
        sigmas = _level(schedule, np.linspace(0, 1, steps))[0].sigma
        yield same("sigmas", sigmas, case["discrete_sigmas"], rtol=1e-10)
        before = np.where(entry == 0, 0, sigmas[entry - 1])
        change, added = np.zeros(len(entry)), np.sqrt(sigmas[entry] ** 2 - before**2)
    else:
        change, added = drift / steps, noise / np.sqrt(steps)
    yield same("change of a step", change, case["f_coeff"], rtol=1e-9, atol=1e-12)
    yield same("noise of a step", added, case["G"], rtol=1e-8)


@checks("sit", "paths")
def paths(case: Case) -> Comparisons:
    # The path may be told by the case's name alone.
    schedule = path({"path_type": case.kwargs.get("path_type", case.name.split("_")[0])})
    nodes = at_times(schedule, 1 - case["t"])
    level, slope = jax.tree.map(np.asarray, (nodes.level, nodes.rate))
    x = case["x"]
    yield same("alpha", level.alpha, case["alpha"], rtol=1e-9)
    yield same("sigma", level.sigma, case["sigma"], rtol=1e-8, atol=1e-12)
    yield same("slope of alpha", -slope.alpha, case["d_alpha"], rtol=1e-8, atol=1e-12)
    yield same("slope of sigma", -slope.sigma, case["d_sigma"], rtol=1e-7, atol=1e-12)
    f = (slope.alpha / level.alpha)[:, None]
    yield same("drift", f * x, case["drift_mean"], rtol=1e-8, atol=1e-12)
    half = np.asarray(jax.jit(jax.vmap(half_squared_diffusion))(nodes))[:, None]
    yield same("g²/2", half, case["drift_var"], rtol=1e-7)
    velocity, score, epsilon = (
        predictions.make(name, schedule=schedule) for name in ("velocity", "score", "epsilon")
    )

    found = restated(-case["velocity"], x, level, velocity, score)
    yield same("score of velocity", found, case["score_from_velocity"], rtol=1e-7, atol=1e-9)
    found = restated(-case["velocity"], x, level, velocity, epsilon)
    yield same("noise of velocity", found, case["noise_from_velocity"], rtol=1e-7, atol=1e-9)
    found = -restated(case["score"], x, level, score, velocity)
    yield same("velocity of score", found, case["velocity_from_score"], rtol=1e-7, atol=1e-9)
    norm = case.kwargs.get("diffusion_norm", 1.0)
    for theirs, ours in (
        ("constant", "constant"),
        ("SBDM", "sbdm"),
        ("sigma", "sigma"),
        ("linear", "linear"),
        ("decreasing", "decreasing"),
        ("inccreasing-decreasing", "increasing_decreasing"),
    ):
        if f"diff_{theirs}" in case:
            of_node = functools.partial(coefficient, ours, norm)
            found = np.asarray(jax.jit(jax.vmap(of_node))(nodes))[:, None]
            recorded = np.broadcast_to(case[f"diff_{theirs}"], found.shape)
            yield same(theirs, found, recorded, rtol=1e-7, atol=1e-12)


# Settings of VDM's network, which its schedule does not see.
GAMMAS = ("fixed", "learnable_scalar", "learnable_nnet")
UNSEEN_BY_GAMMA = ("vocab_size", "sample_softmax", "antithetic_time_sampling", "sm_n_timesteps")
UNSEEN_BY_GAMMA += ("with_fourier_features", "with_attention", "sm_n_embd", "sm_n_layer")
UNSEEN_BY_GAMMA += ("sm_pdrop",)


@checks("vdm", "gamma")
def gamma(case: Case) -> Comparisons:
    kwargs = case.kwargs
    _ = [kwargs.get(name) for name in UNSEEN_BY_GAMMA]
    kind, low, high = (kwargs[name] for name in ("gamma_type", "gamma_min", "gamma_max"))
    known("gamma_type", kind, *GAMMAS)
    schedule: Schedule = schedules.make(f"linear_log_snr(log_snr_min={-high}, log_snr_max={-low})")
    tolerance = 1e-10
    if kind == "learnable_scalar":
        start, slope = (np.asarray(case[name], float).item() for name in ("sd/b", "sd/w"))
        schedule = schedules.make(
            f"linear_log_snr(log_snr_min={-start - abs(slope)}, log_snr_max={-start})"
        )
    elif kind == "learnable_nnet":
        parameters = (
            case[f"sd/{name}"].astype(float).ravel()
            for name in ("l1/bias", "l1/kernel", "l2/kernel", "l2/bias", "l3/kernel")
        )
        schedule = monotone(*parameters)
    t = case["t"]
    level, _ = _level(schedule, t)
    yield same("gamma", -np.asarray(level.log_snr), case["gamma"], rtol=tolerance, atol=1e-10)
    slope = -np.asarray(_slope(schedule, t))
    yield same("slope", slope, np.broadcast_to(case["dgamma_dt"], t.shape), rtol=1e-8)
    yield same("SNR", (level.alpha / level.sigma) ** 2, case["snr"], rtol=1e-8)
    yield same("alpha", level.alpha, case["alpha"], rtol=1e-9)
    yield same("sigma", level.sigma, case["sigma"], rtol=1e-9)
    ends = times_of(schedule, -case["gamma"])
    yield same("time of gamma", ends, t, rtol=1e-9, atol=1e-10)


@jax.jit
def _slope(schedule: Schedule, time: Array) -> Array:
    """The slope of the log-SNR."""
    return jax.jvp(lambda t: schedule.level(t).log_snr, (time,), (jnp.ones_like(time),))[1]


@checks("edm", "schedules")
def preconditioning(case: Case) -> Comparisons:
    kwargs, kind, sigma = case.kwargs, case.extra["cls"], case["sigma"]
    own = wrapper(kind, kwargs)
    level = exploding(sigma)
    # x_0 = (b x - sigma y)/det at alpha = 1.
    a, b = (np.asarray(value) for value in _coefficients(own.prediction, level))
    yield same("c_skip", b / (b - sigma * a), case["c_skip"], rtol=1e-10, atol=1e-15)
    yield same("c_out", -sigma / (b - sigma * a), case["c_out"], rtol=1e-10)
    yield same("c_in", own.input_scale(level), case["c_in"], rtol=1e-10)
    close = 1e-8 if kind == "VPPrecond" else 1e-10
    yield same("c_noise", own.c_noise(level), case["c_noise"], rtol=close, atol=1e-12)
    if kind == "VPPrecond":
        yield from _edms_vp(case, own.schedule)
    elif kind == "iDDPMPrecond":
        yield from _edms_table(case, own.table())
    else:
        low, high = (0, np.inf) if kind == "EDMPrecond" else (0.02, 100)
        yield same("sigma_min", kwargs.get("sigma_min", low), case["sigma_min"])
        yield same("sigma_max", kwargs.get("sigma_max", high), case["sigma_max"])


@jax.jit
def _coefficients(prediction: Prediction, level: Level) -> tuple[Array, Array]:
    return prediction.coefficients(level)


def _edms_vp(case: Case, schedule: Schedule) -> Comparisons:
    level, _ = _level(schedule, case["t"])
    yield same("sigma(t)", level.sigma / level.alpha, case["sigma_of_t"], rtol=1e-8)
    again = times_of(schedule, np.asarray(level.log_snr))
    yield same("t(sigma(t))", again, case["sigma_roundtrip"], rtol=1e-7)
    first = case.kwargs.get("epsilon_t", 1e-5)
    ends, _ = _level(schedule, np.array([first, 1.0]))
    # In float32 the first of them loses digits, which `native_sigma_min` shows.
    recorded = [case["sigma_min"], case["sigma_max"]]
    yield same("ends", ends.sigma / ends.alpha, recorded, rtol=1e-8)


def _edms_table(case: Case, u: np.ndarray) -> Comparisons:
    yield same("u", u, case["u"], rtol=1e-8)
    yield same("ends", [u[-2], u[0]], [case["sigma_min"], case["sigma_max"]], rtol=1e-3)
    nearest = np.abs(np.asarray(case["round_in"])[:, None] - u).argmin(axis=1)
    yield same("index", nearest, case["round_idx"])
    yield same("rounded", u[nearest], case["round_out"], rtol=1e-3)
