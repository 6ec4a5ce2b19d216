"""Losses of EDM, EDM2 and k-diffusion's training densities."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Array
from scipy import stats

from diffusion_jax.process.objective import Objective
from diffusion_jax.process.predictions import X0
from diffusion_jax.process.schedules import Schedule, schedules
from diffusion_jax.process.time_samplers import TimeSampler, time_samplers
from tests.golden.check import Comparisons, Uncovered, checks, same
from tests.golden.load import Case
from tests.golden.losses import levels, loss_of, mixed, points_at, restated
from tests.golden.problems import predicted, problem
from tests.golden.spec import spec

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
    else:
        raise Uncovered(f"loss {kind!r} is not known here")


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


# k-diffusion's densities by what is in their functions' names.
DENSITIES = ("log_normal", "log_logistic", "log_uniform", "v_diffusion", "cosine_interpolated")
DENSITIES = ("split_log_normal", *DENSITIES)


# Settings that only one of them has.
OWN = {"image_d": "cosine_interpolated", "scale_1": "split_log_normal", "sigma_data": "v_diffusion"}


def density(case: Case) -> str:
    """Which density a case is of: by name, as several have the same settings, all with defaults."""
    told = [case.extra.get(key) for key in ("density", "function", "cls")] + [case.name]
    words = "".join(filter(str.isalpha, " ".join(str(word or "") for word in told)))
    for name in DENSITIES:
        if name.replace("_", "") in words:
            return name
    for setting, name in OWN.items():
        if setting in case.kwargs:
            return name
    raise Uncovered(f"no density is known by the name {case.name!r}")


@checks("k_diffusion", "sigma_density")
def sigma_density(case: Case) -> Comparisons:
    member, u = DRAWN[density(case)](case.kwargs), case["u"]
    if member.startswith("cosine_interpolated"):
        u = 1 - u  # theirs is less noisy as u grows
    elif member.startswith("log_normal"):
        u = 1e-7 + u * (1 - 2e-7)  # so were uniform draws made normal ones in the recording
    elif member.startswith("split"):
        below, above = case.kwargs["scale_1"], case.kwargs["scale_2"]
        share, half = below / (below + above), 2 * stats.norm.sf(np.abs(case["n"]))
        u = np.where(u < share, share * half, 1 - (1 - share) * half)
    schedule = schedules.make(spec("edm", sigma_min=NONE, sigma_max=1 / NONE))
    sigma = _times(time_samplers.make(member), u, schedule)
    yield same("sigma", sigma, case["sigma"], rtol=1e-9)


NONE = 1e-37  # stands for a bound of 0, and its inverse for one of infinity


def bounds(kwargs: Mapping[str, Any], low: float = 0, high: float = np.inf) -> dict[str, float]:
    """The least and most sigma, whose defaults are a density's own; a bound may be none."""
    given = kwargs.get("min_value"), kwargs.get("max_value")
    low, high = (d if g is None else g for g, d in zip(given, (low, high), strict=True))
    return {
        "sigma_min": float(low) or NONE,
        "sigma_max": 1 / NONE if high == np.inf else float(high),
    }


def cosine_interpolated(kwargs: Mapping[str, Any]) -> str:
    """Simple diffusion's density, the only one that has bounds by default."""
    settings = {
        "size": kwargs["image_d"],
        "noise_size_low": kwargs["noise_d_low"],
        "noise_size_high": kwargs["noise_d_high"],
        "sigma_data": kwargs.get("sigma_data", 1.0),
    }
    return spec("cosine_interpolated", **settings, **bounds(kwargs, 1e-3, 1e3))


# What each density with its settings is called here.
DRAWN: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "log_normal": lambda k: spec("log_normal", mean=k.get("loc", 0.0), std=k.get("scale", 1.0)),
    "log_logistic": lambda k: spec(
        "log_logistic", mean=k.get("loc", 0.0), scale=k.get("scale", 1.0), **bounds(k)
    ),
    "log_uniform": lambda k: spec(
        "log_uniform", sigma_min=k["min_value"], sigma_max=k["max_value"]
    ),
    "v_diffusion": lambda k: spec("cosine", sigma_data=k.get("sigma_data", 1.0), **bounds(k)),
    "cosine_interpolated": cosine_interpolated,
    "split_log_normal": lambda k: spec(
        "split_log_normal", mode=k["loc"], std_low=k["scale_1"], std_high=k["scale_2"]
    ),
}


@jax.jit
def _times(drawn: TimeSampler, u: Array, schedule: Schedule) -> Array:
    return drawn.time(u, schedule)
