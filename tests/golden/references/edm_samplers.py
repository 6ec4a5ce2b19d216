"""EDM's samplers, which see a process x = s(t) (x_0 + sigma(t) eps) in its own time t."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import predictions
from diffusion_jax.process.schedules import Schedule, schedules
from diffusion_jax.process.schedules.preserving import VPLinear
from diffusion_jax.process.schedules.rescaled import Rescaled
from diffusion_jax.sampling.grids import grids
from diffusion_jax.sampling.guidance.autoguidance import Autoguidance
from diffusion_jax.sampling.solvers import Solver, solvers
from diffusion_jax.sampling.solvers.edm import EDMSampler
from diffusion_jax.struct import Scalar, pytree
from tests.golden.check import Comparisons, Deliberate, Fault, Uncovered, checks, known, same
from tests.golden.diffusers import exploding, outputs
from tests.golden.load import Case
from tests.golden.problems import Problem, problem
from tests.golden.replay import at_times, replay, times_of, with_clean
from tests.golden.spec import spec
from tests.sampling.exact import compiled

STATES = 1e-9


def churned(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The churn of a run, as `edm` takes it."""
    return {
        "churn": float(kwargs.get("S_churn", 0)),
        "s_tmin": float(kwargs.get("S_min", 0)),
        "s_tmax": float(kwargs.get("S_max", float("inf"))),
        "s_noise": float(kwargs.get("S_noise", 1)),
    }


def churned_at(case: Case, sigma: np.ndarray) -> dict[str, float]:
    """The churn of a run over noise levels; where one is a bound, rounding tells on which side."""
    settings, used = churned(case.kwargs), case.get("noise_used")
    if used is None and "noise_step" in case:
        used = np.isin(np.arange(len(sigma) - 1), case["noise_step"])
    for name, outwards in (("s_tmin", -1e-6), ("s_tmax", 1e-6)):
        at = np.flatnonzero(np.isclose(sigma[:-1], settings[name], rtol=1e-9, atol=0))
        if used is not None and at.size:
            settings[name] *= 1 + (outwards if used[at[0]] else -outwards)
    return settings


def bounds(case: Case, low: float, high: float) -> dict[str, float]:
    """The ends of the grid, by default `low` and `high`, and within what the network knows."""
    given = [case.kwargs.get(name) for name in ("sigma_min", "sigma_max")]
    low, high = (d if g is None else g for g, d in zip(given, (low, high), strict=True))
    least, most = case.extra.get("net_sigma_min", 0), case.extra.get("net_sigma_max", np.inf)
    return {"sigma_min": float(max(low, least)), "sigma_max": float(min(high, most))}


def karras(case: Case, ends: Mapping[str, float]) -> np.ndarray:
    """EDM's own grid."""
    grid = grids.make(spec("karras", rho=float(case.kwargs.get("rho", 7)), **ends))
    return noise(grid, schedules.make(spec("edm", **ends)), case)


def noise(grid: Any, schedule: Schedule, case: Case) -> np.ndarray:
    """sigma/alpha at the nodes of a grid, the last 0."""
    level = compiled(grid, schedule, int(case.kwargs.get("num_steps", 18))).level
    return np.asarray(level.sigma) / np.asarray(level.alpha)


def run(case: Case, solver: Solver, clock: Schedule, sigma: np.ndarray) -> Comparisons:
    """Our run in the time of a clock, over the noise levels of our grid, beside the recorded."""
    steps = len(sigma) - 1
    yield same("evaluations", solver.evaluations(steps), case.nfe)
    yield from outputs(case, predictions.make("x0"))
    nodes = with_clean(at_times(clock, times_of(clock, -2 * np.log(sigma[:-1]))))
    yield same("scale", nodes.level.alpha, case["s_steps"], rtol=1e-10)
    yield same("time", np.append(np.asarray(nodes.time)[:-1], 0), case["t_steps"], rtol=1e-10)
    x = np.asarray(nodes.level.sigma)[0] * case["x_init"]
    states = replay(solver, nodes, problem(case.problem), x, case.get("noise")).x
    yield same("states", np.concatenate([x[None], states[:-1]]), case["state"], atol=STATES)
    yield same("final", states[-1], case["final"], atol=STATES)


@checks("edm", "edm_sampler")
def edm_sampler(case: Case) -> Comparisons:
    ends = bounds(case, 0.002, 80.0)
    sigma = karras(case, ends)
    sigma = rounded(case, sigma) if rounds(case) else sigma
    yield same("grid", sigma, case["sigma_steps"], rtol=FLOAT32 if rounds(case) else 1e-10)
    yield from run_of(case, solvers.make(spec("edm", **churned_at(case, sigma))), sigma)


def vp(case: Case, ends: Mapping[str, float]) -> Schedule:
    """The VP schedule whose sigma is as given at the times epsilon_s and 1.

    An array passes where a number would be refused: beta is below 0 at times before epsilon_s.
    """
    least = float(case.kwargs.get("epsilon_s", 1e-3))
    low, high = (np.log1p(ends[name] ** 2) for name in ("sigma_min", "sigma_max"))
    # beta_min t + slope t²/2 = log(1 + sigma²) at both.
    slope = 2 * (low / least - high) / (least - 1)
    start = high - slope / 2
    return VPLinear(jnp.asarray(start), jnp.asarray(start + slope))


CURVES = {("vp", "none"): "exploding", ("ve", "vp"): "preserving", ("linear", "vp"): "preserving"}
SCHEDULES = ("vp", "ve", "linear")
SCALINGS = ("vp", "none")


def clock_of(case: Case, ends: Mapping[str, float]) -> Schedule:
    """The schedule in whose time a run of the ablation is."""
    kind = known("schedule", case.kwargs.get("schedule", "linear"), *SCHEDULES)
    scaling = known("scaling", case.kwargs.get("scaling", "none"), *SCALINGS)
    names = {"ve": "ve_sqrt", "linear": "edm"}
    inner = vp(case, ends) if kind == "vp" else schedules.make(names[kind])
    curve = CURVES.get((kind, scaling))
    return inner if curve is None else Rescaled(inner, curve)


def table(case: Case) -> np.ndarray:
    """sigma/alpha at the labels of improved DDPM's table, least noise first."""
    count = case.kwargs.get("M", 1000)
    least, offset = case.kwargs.get("C_1", 0.001), case.kwargs.get("C_2", 0.008)
    cosine = f"ddpm_cosine(steps={count}, offset={offset}, largest_beta={1 - least})"
    level = at_times(schedules.make(cosine), np.arange(1, count + 1) / count).level
    return np.asarray(level.sigma) / np.asarray(level.alpha)


def discretization(case: Case) -> str:
    """How a run of the ablation chooses its times."""
    return str(known("discretization", case.kwargs.get("discretization", "edm"), *LOWEST))


def discretized(case: Case, ends: Mapping[str, float]) -> np.ndarray:
    """Our grid for a run of the ablation."""
    steps, kind = int(case.kwargs.get("num_steps", 18)), discretization(case)
    _ = [case.kwargs.get(name) for name in ("rho", "epsilon_s", "C_1", "C_2", "M")]  # of some
    if kind == "edm":
        return karras(case, ends)
    if kind == "ve":  # equal steps in the logarithm of the time, which is the variance
        return noise(grids.make(spec("log_snr", **ends)), schedules.make(spec("edm", **ends)), case)
    if kind == "vp":
        grid = grids.make(spec("uniform", t_end=float(case.kwargs.get("epsilon_s", 1e-3))))
        return noise(grid, vp(case, ends), case)
    levels = table(case)
    first = int((levels < ends["sigma_min"]).sum())  # of the labels within the bounds
    past = int((levels > ends["sigma_max"]).sum())
    grid = grids.make(f"iddpm(skipped={past}, train_steps={len(levels) - first})")
    # Halves are rounded up in the paper, and to even numbers in the code.
    step, span, last = np.arange(steps), len(levels) - first - past - 1, max(steps - 1, 1)
    halves = np.floor(step * span / last + 0.5) - np.rint(span / last * step)
    return np.append(levels[first + np.array(grid.labels(steps)) + halves.astype(int)], 0)


LOWEST = {"vp": 0.002, "ve": 0.02, "iddpm": 0.002, "edm": 0.002}
HIGHEST = {"vp": 80.0, "ve": 100.0, "iddpm": 81.0, "edm": 80.0}


@checks("edm", "ablation_sampler")
def ablation_sampler(case: Case) -> Comparisons:
    kind = discretization(case)
    low, high = LOWEST[kind], HIGHEST[kind]
    if kind == "vp":  # the VP of score SDE, between epsilon_s and 1
        times = jnp.array([case.kwargs.get("epsilon_s", 1e-3), 1.0])
        level = schedules.make("vp_linear").level(times)
        low, high = (float(value) for value in level.noise_to_signal)
    ends = bounds(case, low, high)
    sigma = discretized(case, ends)
    sigma = rounded(case, sigma) if rounds(case) else sigma
    yield same("grid", sigma, case["sigma_steps"], rtol=FLOAT32 if rounds(case) else 1e-9)

    euler = known("solver", case.kwargs.get("solver", "heun"), "euler", "heun") == "euler"
    part = float(case.kwargs.get("alpha", 1))
    solver = solvers.make(
        spec("edm", order=1 if euler else 2, part=part, last="slope", **churned_at(case, sigma))
    )
    yield from run_of(case, dataclasses.replace(solver, clock=clock_of(case, ends)), sigma)


def rounds(case: Case) -> bool:
    """Whether the network knows but the noise levels of a table, and a run goes to the nearest."""
    how = case.extra.get("round_sigma", "identity")
    return bool(known("round_sigma", how, "identity", "iddpm table") == "iddpm table")


def rounded(case: Case, sigma: np.ndarray) -> np.ndarray:
    """The noise levels of improved DDPM's table that are nearest to those of a grid; the end is 0.

    The table's settings are the network's.
    """
    levels = table(case)
    return np.append(levels[np.abs(levels - sigma[:-1, None]).argmin(axis=1)], 0)


def run_of(case: Case, solver: EDMSampler, sigma: np.ndarray) -> Comparisons:
    """The run over our grid, or over the recorded one where that is of a table that is off."""
    if not rounds(case):
        yield from run(case, solver, solver.clock, sigma)
        return
    if case.kwargs.get("S_churn", 0) > 0:
        raise Uncovered(
            "churn that goes to the nearest of a network's noise levels: other amounts of noise "
            "than S_churn says, for the sake of networks that know no levels between"
        )
    yield from run(case, solver, solver.clock, case["sigma_steps"])
    raise Deliberate(TABLE)


# How far a table is off that was computed in single precision.
FLOAT32 = 6e-4


def single_precision_is_not_enough() -> None:
    """The recursion over improved DDPM's table in both precisions, beside ours."""

    def recursion(dtype: Any) -> np.ndarray:
        count, least, offset = 1000, dtype(0.001), dtype(0.008)
        angle = np.arange(count + 1, dtype=dtype) / dtype(count) / (offset + 1) * dtype(np.pi / 2)
        kept, found = np.sin(angle) ** 2, [dtype(0)]
        for j in range(count, 0, -1):
            ratio = max(kept[j - 1] / kept[j], least)
            found.append(np.sqrt((found[-1] ** 2 + 1) / ratio - 1))
        return np.array(found[1:])

    level = at_times(schedules.make("ddpm_cosine"), np.arange(1, 1001) / 1000).level
    exact = recursion(np.float64)
    np.testing.assert_allclose(level.noise_to_signal, exact, rtol=1e-9)
    assert np.abs(recursion(np.float32) / exact - 1).max() > 1e-4


TABLE = Fault(
    "the noise levels that a network of improved DDPM rounds to are computed in single precision, "
    "which leaves them off by up to 5e-4",
    single_precision_is_not_enough,
)


@pytree
class Guided:
    """A denoiser guided by another, a mixture each."""

    main: Problem
    guide: Problem
    scale: Scalar

    def denoise(self, x: Array, level: Level, condition: Any = None) -> Array:
        steered = Autoguidance(self.scale)(self.main.denoise, None, guide=self.guide.denoise)
        return steered(x, level, condition)


def component(name: str | None, index: int | None) -> Problem:
    """One component of a mixture, by a weight of 0 for the others, or all of it."""
    whole = problem(name)
    if index is None:
        return whole
    weights = np.eye(len(whole.weights))[index]
    return dataclasses.replace(whole, weights=jnp.asarray(weights))


@checks("edm2", "edm_sampler")
def edm2_sampler(case: Case) -> Comparisons:
    ends = bounds(case, 0.002, 80.0)
    sigma, steps = karras(case, ends), int(case.kwargs.get("num_steps", 32))
    yield same("grid", sigma, case["t_steps"], rtol=1e-10)
    main, guide = (component(case.problem, case.extra[f"{w}_class"]) for w in ("main", "guide"))
    scale = float(case.kwargs.get("guidance", 1))
    _ = case.kwargs.get("dtype")  # all in double precision
    kind = predictions.make("x0")
    yield from outputs(case, kind, data=main)
    if "geval_out" in case:
        yield from outputs(case, kind, data=guide, recorded="geval_out")

    solver = solvers.make(spec("edm", **churned_at(case, sigma)))
    yield same("evaluations", solver.evaluations(steps), case.nfe)
    draws = np.zeros((steps, *case["x_init"].shape))
    if "noise" in case:
        active = (sigma >= solver.s_tmin) & (sigma <= solver.s_tmax)
        yield same("steps with noise", np.flatnonzero(active[:-1]), case["noise_step"])
        draws[case["noise_step"]] = case["noise"]
    x = ends["sigma_max"] * case["x_init"]
    data = Guided(main, guide, scale)
    states = replay(solver, exploding(sigma), data, x, draws).x
    # What the network was first asked with, in steps without noise.
    asked = np.concatenate([x[None], states[:-1]])
    quiet = [i for i in range(steps) if i not in case.get("noise_step", [])]
    yield same("states", asked[quiet], case["eval_x"][2 * np.array(quiet)], atol=STATES)
    yield same("final", states[-1], case["final"], atol=STATES)
