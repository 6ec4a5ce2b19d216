"""diffusers' schedulers that step through integer labels: DDPM, DDIM and its inverse."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffusion_jax.process.level import Level
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.inversion import invert, upwards
from diffusion_jax.sampling.solvers import Solver, solvers
from diffusion_jax.sampling.solvers.ddim import DDIM
from tests.golden.check import Comparisons, Deliberate, Fault, checks, known, nothing_more, same
from tests.golden.diffusers import (
    Config,
    data,
    given,
    inverse,
    labels,
    levels,
    recorded_prediction,
    steps_of,
    table,
    threshold,
)
from tests.golden.load import Case
from tests.golden.openai import told
from tests.golden.padding import pad
from tests.golden.problems import Problem, problem
from tests.golden.replay import SHORTEST, apart, nodes_at, replay

TOLERANCE = 1e-9


def at_labels(case: Case, at: Any) -> Nodes:
    """The nodes at labels; below the first is the end that the scheduler was told to have."""
    whole, config = levels(Config(case)), Config(case)
    one = config["set_alpha_to_one"]
    end = (1.0, 0.0) if one else (whole.alpha[0], whole.sigma[0])
    at, inside = np.maximum(at, 0), np.asarray(at) >= 0
    alpha = np.where(inside, whole.alpha[at], end[0])
    return nodes_at(alpha, np.where(inside, whole.sigma[at], end[1]))


def draws(case: Case, steps: int) -> np.ndarray:
    """The recorded draws, (steps, batch, dim), with zeros where none were needed."""
    noise = np.zeros((steps, *case["x_init"].shape))
    recorded = case.get("noise", noise)[:steps]
    noise[: len(recorded)] = recorded
    return noise


def start(case: Case) -> Comparisons:
    """All that comes before the first step."""
    yield from table(case)
    yield same("labels", labels(case), case["timesteps"])
    yield from recorded_prediction(case)
    yield same("scale of the start", 1.0, case["init_noise_sigma"])
    nothing_more(case.kwargs["step"], "eta", "use_clipped_model_output")


NOT_A_NUMBER = Fault(
    "fixed_large_log takes the square root of log(beta), which is negative: NaN",
    shown=lambda: np.testing.assert_array_less(np.log(np.linspace(1e-4, 0.02, 1000)), 0),
)


def _noise_is_left() -> None:
    """Data at a single point come back with the variance of the last beta."""
    solver = solvers.make("ancestral(variance=large)")
    end = Level(jnp.ones(1), jnp.zeros(1))
    last = nodes_at([np.sqrt(0.9)], [np.sqrt(0.1)])
    here, there = last[0], Nodes(last.time, end, end)[0]
    x, point = jnp.zeros((1, 1)), lambda x, level, condition=None: jnp.full_like(x, 0.7)
    found = solver.step(solver.init(x, last), here, there, point, lambda k: jnp.ones_like(x))
    assert abs(float(found.x[0, 0]) - 0.7) < 1e-12, "ours leaves noise, too"


LEFT_OVER = Fault(
    "a large or learned variance leaves the noise of the last step in the sample where the last "
    "label is not 0",
    shown=_noise_is_left,
)


def first_estimate(case: Case) -> Any:
    """E[x_0 | x] at the start, within the scheduler's thresholds."""
    level = at_labels(case, labels(case)[0]).level
    return data(case).denoise(jnp.asarray(case["x_init"]), level)


VARIANCES = ("fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log")
VARIANCES = (*VARIANCES, "learned", "learned_range")


@checks("diffusers", "DDPMScheduler")
def ddpm(case: Case) -> Comparisons:
    kind = known("variance_type", Config(case)["variance_type"], *VARIANCES)
    yield from start(case)
    if kind == "fixed_large_log":
        yield same("first estimate", first_estimate(case), case["pred_x0"][0], atol=TOLERANCE)
        raise Deliberate(NOT_A_NUMBER)
    at, noise = labels(case), draws(case, steps_of(case))
    large, learned = kind == "fixed_large", kind.startswith("learned")
    variance = "learned" if learned else "large" if large else "small"
    solver, exact = solvers.make(f"ancestral(variance={variance})"), data(case)
    if learned:
        tells = case["var_pred"]
        # A variance that is learned outright is told as it is; here, as its logarithm.
        tells = np.log(tells) if kind == "learned" else tells
        exact = told(exact, kind, case["eval_sigma"], tells)
    yield same("evaluations", solver.evaluations(len(at)), case.nfe)
    found = replay(solver, at_labels(case, np.append(at, -1)), exact, case["x_init"], noise)
    yield same("estimates", found.denoised, case["pred_x0"], atol=TOLERANCE)
    if variance != "small" and at[-1] > 0:
        yield same("states", found.x[:-1], case["traj"][1:-1], atol=TOLERANCE)
        std = levels(Config(case)).sigma[at[-1]]
        if kind == "learned":
            std = np.exp(tells[-1] / 2)
        elif learned:
            # The posterior's own variance is 0 there, and taken for 1e-20.
            part = (tells[-1] + 1) / 2
            std = std**part * 1e-10 ** (1 - part)
        yield same("end", found.x[-1] + std * noise[-1], case["final"], atol=TOLERANCE)
        raise Deliberate(LEFT_OVER)
    yield same("states", found.x, case["traj"][1:], atol=TOLERANCE)
    yield same("end", found.x[-1], case["final"], atol=TOLERANCE)


def _another_level() -> None:
    """A state with the noise of one label is denoised as if it had that of another."""
    steps, count = 10, 1000
    at = np.linspace(0, count - 1, steps).round()[::-1]
    alpha = np.cumprod(1 - np.linspace(1e-4, 0.02, count))
    snr = alpha / (1 - alpha)
    left, asked = (snr[np.int_(v)] for v in (at[:-1] - count // steps, at[1:]))
    assert (np.abs(left / asked - 1) > 0.01).all(), "the levels are the same"


NOT_THE_NEXT = Fault(
    "DDIM goes to label t - T//n, and asks the network there as if it were at the next label, "
    "which is another on linspace, or where n does not divide T",
    shown=_another_level,
)


NO_NOISE_TO_FIND = (
    "inversion asks for the eps of clean data, which of a network that predicts x_0 is 0/0: NaN"
)


def _shown_not_a_number(case: Case) -> None:
    assert np.isnan(case["final"]).all(), "its sample is finite"


@checks("diffusers", "DDIMScheduler", "DDIMInverseScheduler")
def ddim(case: Case) -> Comparisons:
    yield from start(case)
    config, at = Config(case), labels(case)
    stride = config["num_train_timesteps"] // steps_of(case)
    eta = given(case, "step", "eta", 0.0)
    # Unless it is told to, the scheduler does not take eps from the x_0 within range.
    if given(case, "step", "use_clipped_model_output", False):
        solver, exact = DDIM(eta), data(case)
    else:
        solver, exact = DDIM(eta, threshold(case)), problem(case.problem)
    here, there = (at - stride, at) if inverse(case) else (at, at - stride)
    noise = draws(case, len(at))
    yield same("evaluations", solver.evaluations(len(at)), case.nfe)
    x = case["traj"]
    nodes = at_labels(case, here), at_labels(case, there)
    # Off clean data, where there is no noise to estimate, inversion takes a step of its own.
    noisy = np.asarray(nodes[0].level.sigma) > 0
    told = noisy & np.isfinite(x[:-1]).all(axis=(1, 2))
    if told.any():
        some = jax.tree.map(lambda values: np.asarray(values)[told], nodes)
        found = apart(solver, exact, *some, x[:-1][told], noise[told])
        yield same("estimates", found.denoised, case["pred_x0"][told], atol=TOLERANCE)
        yield same("each step", found.x, x[1:][told], atol=TOLERANCE)
    if not noisy.all() and config["prediction_type"] == "sample":
        raise Deliberate(Fault(NO_NOISE_TO_FIND, functools.partial(_shown_not_a_number, case)))
    if (here[1:] != there[:-1]).any():
        raise Deliberate(NOT_THE_NEXT)
    whole = at_labels(case, np.append(here, there[-1]))
    if inverse(case):
        # Clean data are an estimate of x_0, too.
        x0 = jnp.asarray(case["x_init"])
        x0 = x0 if noisy[0] else threshold(case)(x0)
        # A step to the level where it is, which is nothing but its clipping, is ours to leave out.
        stays = int(noisy[0] and whole.level.sigma[0] == whole.level.sigma[1])
        x0 = jnp.asarray(found.x[0]) if stays else x0
        back = upwards(jax.tree.map(lambda values: np.asarray(values)[stays:], whole))
        back = jax.tree.map(lambda values: pad(values, SHORTEST + 1), back)
        # Padding comes first, and is left alone.
        states = np.asarray(inverted(solver, exact, back, x0))[stays - len(at) :]
        states = np.concatenate([found.x[:stays], states])
    else:
        states = replay(solver, whole, exact, case["x_init"], noise).x
    yield same("states", states, x[1:], atol=TOLERANCE)
    yield same("end", states[-1], case["final"], atol=TOLERANCE)


@jax.jit
def inverted(solver: Solver, exact: Problem, nodes: Nodes, x0: jax.Array) -> jax.Array:
    """The states of an inversion after each step."""
    return invert(exact.denoise, solver, nodes, x0, save=lambda state: state.x)[1]
