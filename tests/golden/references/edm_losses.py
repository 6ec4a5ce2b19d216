"""Losses of EDM, EDM2 and k-diffusion's training densities."""

import jax
import numpy as np
from jaxtyping import Array
from scipy import stats

from diffusion_jax.process.objective import Objective
from diffusion_jax.process.predictions import X0
from diffusion_jax.process.schedules import Schedule, schedules
from diffusion_jax.process.times import Times, times
from tests.golden.check import Comparisons, checks, same
from tests.golden.load import Case
from tests.golden.losses import levels, loss_of, mixed, points_at, restated
from tests.golden.problems import predicted, problem

# Whatever the network predicts, the loss of the same estimate of x_0 is the same.
PREDICTIONS = ("x0", "epsilon", "v", "edm")


@checks("edm", "losses")
def edm_losses(case: Case) -> Comparisons:
    kwargs, draw = case.kwargs, case["draw_level"]
    kind = case.extra["cls"]
    if kind == "EDMLoss":
        data = kwargs.get("sigma_data", 0.5)
        mean, std = kwargs.get("P_mean", -1.2), kwargs.get("P_std", 1.2)
        yield from _same_losses(
            case,
            ("edm(sigma_min=1e-9, sigma_max=1e9)", f"log_normal(mean={mean}, std={std})"),
            ("edm", data),
            stats.norm.cdf(draw),
        )
    elif kind == "VELoss":
        low, high = kwargs.get("sigma_min", 0.02), kwargs.get("sigma_max", 100)
        schedule = f"ve(sigma_min={low}, sigma_max={high})"
        yield from _same_losses(case, (schedule, "uniform"), ("error_of", 0.5), draw)
    elif kind == "VPLoss":
        beta, slope = kwargs.get("beta_min", 0.1), kwargs.get("beta_d", 19.9)
        first = kwargs.get("epsilon_t", 1e-5)
        schedule = f"vp_linear(beta_min={beta}, beta_max={beta + slope})"
        # Their times run from 1 down to epsilon_t, ours up from the end of the schedule.
        u = 1 - draw * (1 - first)
        yield from _same_losses(case, (schedule, "uniform"), ("error_of", 0.5), u)


@checks("edm2", "losses")
def edm2_losses(case: Case) -> Comparisons:
    kwargs = case.kwargs
    mean, std = kwargs.get("P_mean", -0.4), kwargs.get("P_std", 1.0)
    data = kwargs.get("sigma_data", 0.5)
    yield from _same_losses(
        case,
        ("edm(sigma_min=1e-9, sigma_max=1e9)", f"log_normal(mean={mean}, std={std})"),
        ("edm", data),
        stats.norm.cdf(case["draw_level"]),
    )


def _same_losses(
    case: Case, where: tuple[str, str], weighting: tuple[str, float], u: np.ndarray
) -> Comparisons:
    """Compares levels, weights and losses; both codes state theirs on x_0 + s eps."""
    x0, eps = case["images"], case["noise"]
    loss = "uncertainty" if "logvar" in case else "squared"
    s = np.asarray(case["sigma"])
    for prediction in PREDICTIONS:
        schedule, drawn = where
        name, data = weighting
        objective = Objective.make(schedule, prediction, drawn, name, data, loss)
        level = levels(objective, u)
        yield same("sigma/alpha", level.sigma / level.alpha, s, rtol=1e-10)
        x = mixed(level, x0, eps)
        denoised = predicted(problem(case.problem), X0(), x, level.alpha, level.sigma)
        yield same("E[x0|x]", denoised, case["denoised"], rtol=1e-9, atol=1e-12)
        output = restated(case["denoised"], x, level, X0(), objective.prediction)
        if "logvar" in case:
            output = (output, case["logvar"].reshape(-1))
        if prediction == "x0":
            yield same("weight", points_at(objective, u).weight, case["weight"], rtol=1e-9)
        found = loss_of(objective, u, x0, eps, output)
        yield same(f"loss on {prediction}", found, case["loss"].mean(axis=1), rtol=1e-8)


@checks("k_diffusion", "sigma_density")
def sigma_density(case: Case) -> Comparisons:
    kwargs, u = case.kwargs, case["u"]
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if "image_d" in kwargs:
        member = (
            f"cosine_interpolated(size={kwargs['image_d']}, "
            f"noise_size_low={kwargs['noise_d_low']}, noise_size_high={kwargs['noise_d_high']}, "
            f"sigma_data={kwargs.get('sigma_data', 1.0)}, "
            f"sigma_min={1e-3 if low is None else low}, sigma_max={1e3 if high is None else high})"
        )
        u = 1 - u  # theirs is less noisy as u grows
    elif "scale_1" in kwargs:
        below, above = kwargs["scale_1"], kwargs["scale_2"]
        member = f"split_log_normal(mode={kwargs['loc']}, std_low={below}, std_high={above})"
        share, half = below / (below + above), 2 * stats.norm.sf(np.abs(case["n"]))
        u = np.where(u < share, share * half, 1 - (1 - share) * half)
    elif "sigma_data" in kwargs:
        data = kwargs["sigma_data"]
        member = f"cosine(sigma_data={data}, {_bounds(low, high)})"
    elif "loc" in kwargs and low is None and high is None:
        member = f"log_normal(mean={kwargs['loc']}, std={kwargs['scale']})"
        u = 1e-7 + u * (1 - 2e-7)  # so were uniform draws made normal ones in the recording
    elif "loc" in kwargs:
        member = (
            f"log_logistic(mean={kwargs['loc']}, scale={kwargs['scale']}, {_bounds(low, high)})"
        )
    else:
        member = f"log_uniform({_bounds(low, high)})"
    schedule = schedules.make("edm(sigma_min=1e-30, sigma_max=1e30)")
    sigma = _times(times.make(member), u, schedule)
    yield same("sigma", sigma, case["sigma"], rtol=1e-9)


@jax.jit
def _times(drawn: Times, u: Array, schedule: Schedule) -> Array:
    return drawn.time(u, schedule)


def _bounds(low: float | None, high: float | None) -> str:
    """Theirs are 0 and infinity by default."""
    return f"sigma_min={low or 1e-15}, sigma_max={high if high not in (None, np.inf) else 1e15}"
