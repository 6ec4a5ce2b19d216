"""How k-diffusion asks networks: levels, scalings and losses of its denoisers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from diffusion_jax.process.objective import Objective
from diffusion_jax.process.preconditionings import input_scale
from diffusion_jax.process.predictions import predictions, to_x0
from diffusion_jax.process.schedules import Schedule, schedules
from diffusion_jax.process.schedules.log_snr_table import LogSnrTable
from diffusion_jax.process.schedules.table import Table
from diffusion_jax.process.time_samplers import time_samplers
from diffusion_jax.process.weightings import weightings
from diffusion_jax.sampling.grids import grids
from diffusion_jax.sampling.solvers.rescaled import down_and_up
from tests.golden.check import Comparisons, Known, checks, same
from tests.golden.load import Case
from tests.golden.losses import levels, loss_of, mixed, points_at
from tests.golden.replay import at_times, times_of
from tests.sampling.exact import compiled

CLOSE = 1e-10
_to_x0 = jax.jit(to_x0)


@checks("k_diffusion", "ancestral_step")
def ancestral_step(case: Case) -> Comparisons:
    ends = [jnp.asarray(case[name]) for name in ("sigma_from", "sigma_to")]
    eta = case["eta"] if "eta" in case else case.kwargs.get("eta", 1.0)
    down, up = down_and_up(*ends, jnp.asarray(eta))
    yield same("down", down, case["sigma_down"], rtol=CLOSE, atol=1e-14)
    yield same("up", up, case["sigma_up"], rtol=CLOSE, atol=1e-14)


@dataclasses.dataclass(frozen=True)
class Wrapper:
    """One of k-diffusion's denoisers in our terms.

    Attributes:
        schedule: whose scale x has.
        prediction: spec of what the network predicts.
        weighting: spec of what its error is weighted by.
        sigma_data: by which inputs are scaled.
        entries: how many levels the network knows; None if all.
        rounds: whether it is told the nearest of them.
    """

    schedule: Schedule
    prediction: str
    weighting: str = "simple"
    sigma_data: float = 1.0
    entries: int | None = None
    rounds: bool = False

    def label(self, sigma: np.ndarray) -> np.ndarray:
        """Our time of the level, or the number of the entry, least noise first from 0."""
        time = times_of(self.schedule, -2 * np.log(sigma))
        return time if self.entries is None else self.entries * time - 1

    def objective(self, sigma: np.ndarray) -> tuple[Objective, np.ndarray]:
        """The objective, and the uniform draws that mean these sigmas."""
        low, high = 0.9 * sigma.min(), 1.1 * sigma.max()
        objective = Objective(
            self.schedule,
            predictions.make(self.prediction, sigma_data=self.sigma_data),
            time_samplers.make(f"log_uniform(sigma_min={low}, sigma_max={high})"),
            weightings.make(self.weighting, sigma_data=self.sigma_data),
            self.sigma_data,
        )
        return objective, np.log(sigma / low) / np.log(high / low)


WEIGHTINGS = Known(
    "weighting",
    {"karras": "edm", "snr": "snr", "soft-min-snr": "soft_min_snr(gamma={gamma})"},
)


def _wrapper(case: Case) -> Wrapper:
    kwargs = case.kwargs
    if "alphas_cumprod" in case:
        table = Table(jnp.log(jnp.asarray(case["alphas_cumprod"])) / 2)
        count = kwargs.get("N", len(case["alphas_cumprod"]))
        # A network that predicts eps has no c_skip.
        prediction = "v" if "c_skip" in case else "epsilon"
        rounds = bool(kwargs.get("quantize", False))
        return Wrapper(LogSnrTable(table, count), prediction, entries=count, rounds=rounds)
    if "t_interp" not in case:  # only EDM's networks are told sigma itself
        data = kwargs.get("sigma_data", 1.0)
        weighting = WEIGHTINGS[kwargs.get("weighting", "karras")].format(gamma=data**-2)
        schedule = schedules.make("edm(sigma_min=1e-9, sigma_max=1e9)")
        return Wrapper(schedule, "edm", weighting, data)
    return Wrapper(schedules.make("trig_flow"), "v")


def _stand_in(x: np.ndarray, label: np.ndarray) -> np.ndarray:
    """The recording's network."""
    return np.tanh(0.7 * x + 0.3 * x[:, ::-1]) + 0.01 * (label % 7)[:, None]


@checks("k_diffusion", "wrappers")
def wrappers(case: Case) -> Comparisons:
    wrapper = _wrapper(case)
    if wrapper.entries is not None:
        yield from _discrete(case, wrapper, wrapper.entries)
    elif "t_interp" in case:
        yield same("t", wrapper.label(case["sigma_q"]), case["t_interp"], rtol=CLOSE)
    yield from _scalings(case, wrapper)
    yield from _loss(case, wrapper)


def _discrete(case: Case, wrapper: Wrapper, count: int) -> Comparisons:
    """Between a table's entries, and its entries themselves."""

    def at(time: np.ndarray) -> np.ndarray:
        level = at_times(wrapper.schedule, time).level
        return np.asarray(level.sigma) / np.asarray(level.alpha)

    yield same("sigmas", at(np.arange(1, count + 1) / count), case["sigmas"], rtol=CLOSE)
    label = wrapper.label(case["sigma_q"])
    yield same("t", label, case["t_interp"], rtol=CLOSE, atol=1e-9)
    yield same("nearest t", np.rint(label), case["t_quant"])
    yield same("sigma of t", at((case["t_q"] + 1) / count), case["sigma_of_t"], rtol=CLOSE)
    grid = grids.make(f"linspace(rounded=False, train_steps={count})")
    level = compiled(grid, wrapper.schedule, len(case["get_sigmas"]) - 1).level
    found = np.asarray(level.sigma) / np.asarray(level.alpha)
    yield same("grid", found, case["get_sigmas"], rtol=CLOSE)


def _scalings(case: Case, wrapper: Wrapper) -> Comparisons:
    """What a network sees, and what its output stands for; theirs is on x_0 + s eps."""
    sigma = case["sigma"]
    objective, u = wrapper.objective(sigma)
    level = levels(objective, u)
    yield same("sigma/alpha", level.sigma / level.alpha, sigma, rtol=CLOSE)
    scale = np.asarray(jax.jit(input_scale)(level, wrapper.sigma_data))
    x = case["x"] * level.alpha[:, None]
    yield same("c_in", scale * level.alpha, case["c_in"], rtol=CLOSE)
    yield same("input", scale[:, None] * x, case["inner_in"], atol=CLOSE)
    yield same("label", _told(wrapper, sigma), case["inner_t"], rtol=CLOSE)
    yield same("output", _stand_in(case["inner_in"], case["inner_t"]), case["inner_out"], atol=1e-9)

    def read(output: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.asarray(_to_x0(output, x, level, objective.prediction))

    none, one = np.zeros_like(level.alpha), np.ones_like(level.alpha)
    if "c_skip" in case:
        yield same("c_skip", read(none, level.alpha), case["c_skip"], rtol=CLOSE)
    yield same("c_out", read(one, none), case["c_out"], rtol=CLOSE)
    yield same("denoised", read(case["inner_out"], x), case["denoised"], atol=CLOSE)


def _told(wrapper: Wrapper, sigma: np.ndarray) -> np.ndarray:
    """What the network is told of the level: sigma itself by the wrapper of EDM's networks."""
    if wrapper.prediction == "edm":
        return sigma
    label = wrapper.label(sigma)
    return np.rint(label) if wrapper.rounds else label


def _loss(case: Case, wrapper: Wrapper) -> Comparisons:
    sigma, x0, noise = case["sigma"], case["loss_input"], case["noise"]
    objective, u = wrapper.objective(sigma)
    points = points_at(objective, jnp.asarray(u))
    if "weight" in case:
        yield same("weight", points.weight, case["weight"], rtol=CLOSE)
    seen = np.asarray(points.input_scale)[:, None] * mixed(points.level, x0, noise)
    output = _stand_in(seen, np.asarray(_told(wrapper, sigma)))
    yield same("loss", loss_of(objective, u, x0, noise, output), case["loss"], rtol=1e-8)
