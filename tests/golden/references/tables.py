"""Tables of discrete noise levels, and which of their entries are kept."""

from collections import ChainMap

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from diffusion_jax.process.level import Level
from diffusion_jax.process.posterior import posterior
from diffusion_jax.process.predictions import predictions
from diffusion_jax.process.schedules import Schedule, schedules
from diffusion_jax.sampling.grids import grids
from diffusion_jax.sampling.grids.labels import AtLabels
from tests.golden.check import Comparisons, checks, same
from tests.golden.diffusers import schedule as scheduled
from tests.golden.diffusers.settings import COMMON
from tests.golden.load import Case
from tests.golden.openai import ROUNDING, SCHEDULES, asked, dit_schedule, words
from tests.golden.padding import rows
from tests.golden.references.k_diffusion_samplers import noise_grid
from tests.golden.replay import at_times
from tests.sampling.exact import compiled


def entries(schedule: Schedule, count: int) -> Level:
    """The level of each of `count` entries, least noise first, in numpy."""
    return jax.tree.map(np.asarray, at_times(schedule, np.arange(1, count + 1) / count).level)


def betas_of(signal: np.ndarray) -> np.ndarray:
    """beta of each entry, from alpha²."""
    return 1 - signal / np.append(1.0, signal[:-1])


@checks("guided_diffusion", "schedules")
def beta_schedules(case: Case) -> Comparisons:
    count = case.kwargs["num_diffusion_timesteps"]
    schedule = schedules.make(f"{SCHEDULES[case.kwargs['schedule_name']]}(steps={count})")
    level = entries(schedule, count)
    signal = level.alpha**2
    before, after = np.append(1.0, signal[:-1]), np.append(signal[1:], 0.0)
    yield same("betas", betas_of(signal), case["betas"], rtol=1e-8)
    yield same("alphas_cumprod", signal, case["alphas_cumprod"], rtol=1e-10)
    yield same("previous", before, case["alphas_cumprod_prev"], rtol=1e-10)
    yield same("next", after, case["alphas_cumprod_next"], rtol=1e-10)
    left = 2 * np.log(level.sigma)
    recorded = case["log_one_minus_alphas_cumprod"]  # of 1 - alpha², which has lost digits
    yield same("log(1 - acp)", left, recorded, rtol=1e-9, atol=1e-14)
    ratio = level.sigma / level.alpha
    yield same("noise", ratio, case["sqrt_recipm1_alphas_cumprod"], rtol=1e-8)
    # One step of the chain: the posterior between an entry and the one before, or clean data.
    alpha, sigma = np.append(1.0, level.alpha), np.append(0.0, level.sigma)
    of_x0, of_x, variance = posteriors((alpha[1:], sigma[1:]), (alpha[:-1], sigma[:-1]))
    yield same("weight of x_0", of_x0, case["posterior_mean_coef1"], rtol=1e-8)
    yield same("weight of x", of_x, case["posterior_mean_coef2"], rtol=1e-8)
    yield same("variance", variance, case["posterior_variance"], rtol=1e-8, atol=1e-18)
    clipped = np.log(np.append(variance[1], variance[1:]))
    yield same("log variance", clipped, case["posterior_log_variance_clipped"], rtol=1e-8)


Levels = tuple[np.ndarray, np.ndarray]


def posteriors(here: Levels, there: Levels) -> tuple[np.ndarray, ...]:
    """Of the steps between levels: the weights of x_0 and of x in the mean, and the variance."""
    found = _posteriors(*(Level(*map(rows, levels)) for levels in (here, there)))
    return tuple(np.asarray(values)[: len(here[0])] for values in found)


@jax.jit
def _posteriors(here: Level, there: Level) -> tuple[Array, Array, Array]:
    step = posterior(here, there)
    none, one = jnp.zeros_like(here.alpha), jnp.ones_like(here.alpha)
    return step.mean(none, one), step.mean(one, none), jnp.exp(step.log_small)


def respaced(case: Case, wanted: str, schedule: str, count: int) -> Comparisons:
    """The labels that OpenAI's words for a respacing mean, and the betas between them."""
    if wanted.startswith("ddim"):
        grid, steps = grids.make(f"strided(train_steps={count})"), int(wanted[4:])
    else:
        shares = [int(part) for part in wanted.split(",")] if wanted else [count]
        grid = grids.make(f"sections(shares={tuple(shares)}, train_steps={count})")
        steps = sum(shares)
    assert isinstance(grid, AtLabels)
    labels = np.array(grid.labels(steps)[::-1])
    yield same("labels", labels, case["timestep_map"])
    whole = schedules.make(f"{SCHEDULES[schedule]}(steps={count})")
    level = jax.tree.map(np.asarray, compiled(grid, whole, steps).level)
    alpha, sigma = level.alpha[::-1], level.sigma[::-1]
    signal = alpha[1:] ** 2
    yield same("betas", betas_of(signal), case["betas"], rtol=1e-8)
    if "alphas_cumprod" in case:
        yield same("alphas_cumprod", signal, case["alphas_cumprod"], rtol=1e-10, atol=ROUNDING)
    if "posterior_log_variance_clipped" in case:
        *_, variance = posteriors((alpha[1:], sigma[1:]), (alpha[:-1], sigma[:-1]))
        found = np.log(np.append(variance[1], variance[1:]))
        yield same("log variance", found, case["posterior_log_variance_clipped"], rtol=1e-8)


@checks("guided_diffusion", "respacing")
def guided_respacing(case: Case) -> Comparisons:
    wanted = words(asked(case, "respacing"))
    yield from respaced(case, wanted, asked(case, "schedule"), asked(case, "T"))


@checks("dit", "respacing")
def dit_respacing(case: Case) -> Comparisons:
    kwargs, count = case.kwargs, case.kwargs.get("diffusion_steps", 1000)
    for name in ("use_kl", "sigma_small", "predict_xstart", "learn_sigma"):
        _ = kwargs.get(name)  # not of the table
    _ = kwargs.get("rescale_learned_sigmas")
    yield from respaced(case, words(kwargs["timestep_respacing"]), dit_schedule(case), count)


@checks("diffusers", "forward_process")
def forward_process(case: Case) -> Comparisons:
    config = ChainMap(case.kwargs, COMMON)  # type: ignore[arg-type]
    count, schedule = config["num_train_timesteps"], scheduled(config)
    signal = entries(schedule, count).alpha ** 2
    yield same("betas", betas_of(signal), case["betas"], rtol=1e-8, atol=1e-12)
    yield same("alphas_cumprod", signal, case["alphas_cumprod"], rtol=1e-10, atol=1e-16)
    x, v = _noisy(schedule, (case["t"] + 1) / count, case["x0"], case["noise"])
    yield same("x", x, case["noisy"], rtol=1e-9, atol=1e-12)
    yield same("v", v, case["velocity"], rtol=1e-9, atol=1e-12)
    # What the package itself holds, in float32.
    yield same("native", signal, case["native_alphas_cumprod"], rtol=2e-4, atol=1e-7)
    yield same("native betas", betas_of(signal), case["native_betas"], rtol=1e-2, atol=1e-6)


@jax.jit
def _noisy(schedule: Schedule, time: Array, x0: Array, noise: Array) -> tuple[Array, Array]:
    """Noisy data, and v there."""
    level = schedule.level(time)
    a, b = predictions.make("v").coefficients(level.like(x0))
    return level.mix(x0, noise), a * x0 + b * noise


@checks("diffusers", "sd3_training_sigmas")
def training_sigmas(case: Case) -> Comparisons:
    count = case.kwargs.get("num_train_timesteps", 1000)
    flow = schedules.make(f"rectified_flow(shift={case.kwargs['shift']})")
    sigma = np.asarray(at_times(flow, np.arange(count, 0, -1) / count).level.sigma)
    yield same("sigmas", sigma, case["sigmas"], rtol=1e-10)
    yield same("labels", count * sigma, case["timesteps"], rtol=1e-10)
    shifted = grids.make(
        f"shifted(grid=trailing(train_steps={count}), shift={case.kwargs['shift']})"
    )
    found = compiled(shifted, schedules.make("rectified_flow"), count).level.sigma
    yield same("sigmas of the grid", np.asarray(found)[:-1], case["sigmas"], rtol=1e-10)


@checks("k_diffusion", "schedules")
def k_diffusion_schedules(case: Case) -> Comparisons:
    found = noise_grid(case.kwargs["name"], case.kwargs["n"], case.kwargs)
    yield same("sigmas", found, case["sigmas"], rtol=1e-9)
