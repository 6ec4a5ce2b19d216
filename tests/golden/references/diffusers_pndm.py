"""diffusers' PNDM, with either start, and improved PNDM."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import predictions
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.solvers import solvers
from diffusion_jax.sampling.solvers.ipndm import adams_bashforth
from diffusion_jax.sampling.solvers.pndm import transfer
from diffusion_jax.struct import pytree
from tests.golden.check import Comparisons, Deliberate, Fault, Uncovered, checks, nothing_more, same
from tests.golden.diffusers import (
    Config,
    data,
    labels,
    outputs,
    recorded_prediction,
    steps_of,
    table,
)
from tests.golden.load import Case
from tests.golden.padding import pad
from tests.golden.problems import Problem, problem
from tests.golden.references.diffusers_labels import at_labels
from tests.golden.replay import SHORTEST, at_times, replay

TOLERANCE = 1e-9
HALVED = 3  # steps that PNDM takes by Runge-Kutta


def pndm_labels(case: Case) -> np.ndarray:
    """The labels of all nodes but the last, with the middle of each Runge-Kutta step."""
    config, found = Config(case), labels(case)
    if config["skip_prk_steps"]:
        return found
    half = config["num_train_timesteps"] // steps_of(case) // 2
    first = np.stack([found[:HALVED], found[1 : HALVED + 1] + half], axis=1).ravel()
    return np.concatenate([first, found[HALVED:]])


def asked(count: int, start: str) -> np.ndarray:
    """The nodes, of `count`, at which PNDM asks its network, in order."""
    if start == "improved_euler":
        return np.concatenate([[0, 1][:count], np.arange(1, count)])
    first = [(2 * i, 2 * i + 1, 2 * i + 1, 2 * i + 2) for i in range(HALVED)]
    return np.concatenate([np.ravel(first), np.arange(2 * HALVED, count)])


@dataclasses.dataclass(frozen=True)
class Call:
    """What the scheduler does after a call: a step of DDIM with a mean of outputs.

    Attributes:
        begins: the call whose state it starts from.
        here: the label of that state, as the scheduler has it.
        there: the label that it goes to.
        means: of which calls' outputs, with what weights.
    """

    begins: int
    here: int
    there: int
    means: dict[int, float]


def calls(case: Case) -> Iterator[Call]:
    """The scheduler's calls, of which those of Adams-Bashforth go down by T//n labels."""
    at, skips = labels(case), Config(case)["skip_prk_steps"]
    stride = Config(case)["num_train_timesteps"] // steps_of(case)
    half, kept = stride // 2, []
    if skips:
        yield Call(0, at[0], at[0] - stride, {0: 1.0})
        kept, first = [0], 1
        if len(at) > 1:
            yield Call(0, at[1] + stride, at[1], {0: 0.5, 1: 0.5})
    else:
        first = HALVED
        for i, (here, there) in enumerate(itertools.pairwise(at[: HALVED + 1])):
            begins, middle = 4 * i, there + half
            yield Call(begins, here, here - half, {begins: 1.0})
            yield Call(begins, here, middle, {begins + 1: 1.0})
            yield Call(begins, here, there, {begins + 2: 1.0})
            sixths = {begins: 1, begins + 1: 2, begins + 2: 2, begins + 3: 1}
            yield Call(begins, here, there, {k: w / 6 for k, w in sixths.items()})
            kept.append(begins)
    weights = np.asarray(_adams_bashforth(np.arange(1, 5)))
    for k, here in enumerate(at[first:], 2 if skips else 4 * HALVED):
        kept.append(k)
        latest = kept[:-5:-1]
        means = dict(zip(latest, weights[len(latest) - 1], strict=False))
        yield Call(k, here, here - stride, means)


@jax.jit
def _adams_bashforth(kept: Array) -> Array:
    return jax.vmap(functools.partial(adams_bashforth, 4))(kept)


@jax.jit
def _transfer(x: Array, eps: Array, here: Level, there: Level) -> Array:
    return transfer(x, eps, here.like(x), there.like(x))


def each_call(case: Case) -> Comparisons:
    """Every call by itself, from the states and outputs that were recorded."""
    made = list(calls(case))
    x, outputs = case["traj"][[call.begins for call in made]], case["eval_out"]
    mean = np.array([sum(w * outputs[k] for k, w in call.means.items()) for call in made])
    here, there = (
        at_labels(case, np.array([getattr(call, side) for call in made])).level
        for side in ("here", "there")
    )
    if Config(case)["prediction_type"] == "v_prediction":
        alpha, sigma = (np.asarray(v)[:, None, None] for v in (here.alpha, here.sigma))
        mean = alpha * mean + sigma * x
    padded = jax.tree.map(lambda values: pad(values, SHORTEST), (x, mean, here, there))
    found = np.asarray(_transfer(*padded))[: len(made)]
    yield same("each call", found, case["traj"][1:], atol=TOLERANCE)


VS_OF_OTHER_LEVELS = (
    "PNDM with v-prediction averages v of several levels, and takes the average for v at the "
    "latest: where eps is the same at all, that is not eps, so the method is of first order"
)


def _not_exact(case: Case) -> None:
    """For data at a point eps is the same at all levels; that of their mean of v is another."""
    alpha, sigma, x0, eps = case["eval_alpha"], case["eval_sigma"], 0.7, 1.3
    v = alpha * eps - sigma * x0
    mean = (v[1:] + v[:-1]) / 2
    taken = alpha[1:] * mean + sigma[1:] * (alpha * x0 + sigma * eps)[1:]
    assert np.abs(taken - eps).max() > 1e-4, "it is exact for data at a point"


ANOTHER_LABEL = (
    "PNDM goes to label t - T//n (T//n//2 for the middle of a Runge-Kutta step), and asks the "
    "network as if it were at the next label, which is another here"
)


def strays(case: Case) -> np.ndarray:
    """Labels that calls led to, beside those that the network was asked at."""
    led = np.array([call.there for call in calls(case)][:-1])
    return np.stack([led, case["timesteps"][1:]])


def _another_level(case: Case) -> None:
    led, at = (at_labels(case, side).level.log_snr for side in strays(case))
    assert np.abs(np.asarray(led - at)).max() > 1e-4, "the levels are the same"


@checks("diffusers", "PNDMScheduler")
def pndm(case: Case) -> Comparisons:
    """A run of PNDM, with either start."""
    config, at = Config(case), pndm_labels(case)
    start = "improved_euler" if config["skip_prk_steps"] else "runge_kutta"
    solver, ours = solvers.make(f"pndm(start={start})"), at_labels(case, np.append(at, -1))
    order = asked(len(at), start)
    nothing_more(case.kwargs["step"])
    yield from table(case)
    yield same("labels", at[order], case["timesteps"])
    alpha, sigma = np.asarray(ours.level.alpha), np.asarray(ours.level.sigma)
    yield same("alpha", alpha[order], case["eval_alpha"], rtol=1e-9)
    yield same("sigma", sigma[order], case["eval_sigma"], rtol=1e-9)
    yield from recorded_prediction(case)
    yield same("evaluations", solver.evaluations(len(at)), case.nfe)
    yield from each_call(case)
    if (np.diff(strays(case), axis=0) != 0).any():
        raise Deliberate(Fault(ANOTHER_LABEL, functools.partial(_another_level, case)))
    if config["prediction_type"] == "v_prediction" and len(at) > 1:
        raise Deliberate(Fault(VS_OF_OTHER_LEVELS, functools.partial(_not_exact, case)))
    found = replay(solver, ours, data(case), case["x_init"])
    # States of ours after the call of theirs that ends a step of ours.
    if start == "improved_euler":
        ends = np.append(1, np.arange(2, len(case["traj"])))[-len(at) :]
    else:
        halves = np.ravel([(4 * i + 2, 4 * i + 4) for i in range(HALVED)])
        ends = np.concatenate([halves, np.arange(4 * HALVED + 1, len(case["traj"]))])
    yield same("states", found.x, case["traj"][ends], atol=TOLERANCE)
    yield same("final", found.x[-1], case["final"], atol=TOLERANCE)


@pytree
class BlindAtStart:
    """A distribution whose denoiser says 0 where there is no signal."""

    inner: Problem

    def denoise(self, x: Array, level: Level, condition: Any = None) -> Array:
        """E[x_0 | x], or 0."""
        return jnp.where(level.alpha > 0, self.inner.denoise(x, level, condition), 0)


BLIND = (
    "improved PNDM divides by alpha = 0 in its first step, clipped, and so takes x_0 for 0 there, "
    "though its network's output says E[x_0]"
)


def _shown_blind(case: Case) -> None:
    """The first state has none of the mean of the data, which the output, -E[x_0], tells."""
    sigma = case["betas"]
    first = sigma[1] / sigma[0] * case["x_init"]
    np.testing.assert_allclose(case["traj"][1], first, atol=1e-9)
    assert np.abs(case["eval_out"][0]).max() > 0.1


@checks("diffusers", "IPNDMScheduler")
def ipndm(case: Case) -> Comparisons:
    """A run of improved PNDM on the levels of its own, which start without signal."""
    config, steps = Config(case), steps_of(case)
    nothing_more(case.kwargs["step"])
    if config["trained_betas"] is not None:
        raise Uncovered("improved PNDM on trained betas, which takes them for sigma")
    config.get("num_train_timesteps")  # labels are times here
    time = np.linspace(1, 0, steps + 1)
    ours = at_times(schedules.make("crash"), time)
    yield same("alpha", ours.level.alpha, case["alphas"], atol=1e-12)
    yield same("sigma", ours.level.sigma, case["betas"], atol=1e-12)
    label = np.arctan2(ours.level.sigma, ours.level.alpha) * 2 / np.pi
    yield same("labels", label[:-1], case["timesteps"], atol=1e-9)
    yield from outputs(case, predictions.make("v"))
    solver = solvers.make("ipndm")
    yield same("evaluations", solver.evaluations(steps), case.nfe)
    blind = BlindAtStart(problem(case.problem))
    found = replay(solver, ours, blind, case["x_init"])
    yield same("states", found.x, case["traj"][1:], atol=TOLERANCE)
    yield same("final", found.x[-1], case["final"], atol=TOLERANCE)
    raise Deliberate(Fault(BLIND, functools.partial(_shown_blind, case)))
