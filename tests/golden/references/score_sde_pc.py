"""score_sde's predictor-corrector samplers.

Their N steps are 1/N long, while their times are linspace(1, eps, N); their discrete predictors
step by the variance beta of a table's entry, whatever the level of the time is. So each step is
handed to a solver by itself, from the recorded state, between a level and what it makes of it.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import Epsilon, Score
from diffusion_jax.process.schedules import Schedule, schedules
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers import Solver
from diffusion_jax.sampling.solvers.ancestral import Ancestral
from diffusion_jax.sampling.solvers.euler import Euler
from diffusion_jax.sampling.solvers.euler_maruyama import EulerMaruyama
from diffusion_jax.sampling.solvers.predictor_corrector import PredictorCorrector
from diffusion_jax.sampling.solvers.reverse_diffusion import ReverseDiffusion
from tests.golden.check import Comparisons, Known, Uncovered, checks, known, same
from tests.golden.load import Case
from tests.golden.problems import Problem, predicted, problem
from tests.golden.replay import apart, at_times

VP = {"beta_min": 0.1, "beta_max": 20.0}
DEFAULTS = Known("sde", {"vp": VP, "subvp": VP, "ve": {"sigma_min": 0.01, "sigma_max": 50.0}})
PREDICTORS = ("euler_maruyama", "reverse_diffusion", "ancestral_sampling", "none")
CORRECTORS = ("langevin", "ald", "none")
# What a sampler takes where it is told nothing.
SAMPLER = {
    "N": 1000,
    "n_steps": 1,
    "probability_flow": False,
    "continuous": False,
    "denoise": True,
    "eps": 1e-3,
}
NAMES = {"vp": "vp_linear", "subvp": "sub_vp", "ve": "ve"}


def process(case: Case) -> tuple[str, Schedule, dict[str, float]]:
    """The name of their process, our schedule, and its settings."""
    name = case.extra["sde"]
    settings = {key: case.kwargs.get(key, value) for key, value in DEFAULTS[name].items()}
    return name, schedules[NAMES[name]](**settings), settings


@dataclasses.dataclass(frozen=True)
class Step:
    """What a discrete predictor of theirs does: x <- kept x + gained score, and noise.

    Attributes:
        ratio: r of the forward step x_t = r x_s + sqrt(gained) z.
        gained: the variance that it adds.
        kept: part of x in the mean.
        share: of the score's coefficient in `gained`.
        spread: standard deviation of the noise.
    """

    ratio: np.ndarray
    gained: np.ndarray
    kept: np.ndarray
    share: np.ndarray
    spread: np.ndarray


def asked(case: Case, name: str) -> Any:
    """A setting of a sampler, or its default."""
    return case.kwargs.get(name, SAMPLER[name])


def _discrete(case: Case, name: str, settings: dict[str, float], time: np.ndarray) -> Step:
    count, predictor = asked(case, "N"), case.kwargs["predictor"]
    index = np.floor(time * (count - 1)).astype(int)
    one = np.ones(len(time))
    if name == "ve":
        ends = np.log([settings["sigma_min"], settings["sigma_max"]])
        sigmas = np.exp(np.linspace(*ends, count))
        before = np.where(index == 0, 0, sigmas[index - 1])
        gained = sigmas[index] ** 2 - before**2
        small = before * np.sqrt(gained) / sigmas[index]
        spread = small if predictor == "ancestral_sampling" else np.sqrt(gained)
        return Step(one, gained, one, one, spread)
    beta = np.linspace(settings["beta_min"] / count, settings["beta_max"] / count, count)[index]
    ratio = np.sqrt(1 - beta)
    if predictor == "ancestral_sampling":
        return Step(ratio, beta, 1 / ratio, 1 / ratio, np.sqrt(beta))
    return Step(ratio, beta, 2 - ratio, one, np.sqrt(beta))


def _levels(case: Case, name: str, settings: dict[str, float], nodes: Nodes) -> Level:
    """Where the network is asked: at the time, or at the nearest entry of their table."""
    if asked(case, "continuous") or name == "subvp":  # which has no table
        return nodes.level
    count, time = asked(case, "N"), np.asarray(nodes.time)
    if name == "ve":
        ends = np.log([settings["sigma_max"], settings["sigma_min"]])
        sigma = np.exp(np.linspace(*ends, count))[np.round((1 - time) * (count - 1)).astype(int)]
        return Level(jnp.ones(len(time)), jnp.asarray(sigma))
    beta = np.linspace(settings["beta_min"] / count, settings["beta_max"] / count, count)
    kept = np.cumprod(1 - beta)[np.floor(time * (count - 1)).astype(int)]
    return Level(jnp.asarray(np.sqrt(kept)), jnp.asarray(np.sqrt(1 - kept)))


def _rates(level: Level, nodes: Nodes) -> Level:
    """The rates with which a process at another level has the drift and noise of these nodes."""
    f = nodes.rate.alpha / nodes.level.alpha
    w = nodes.level.sigma * nodes.rate.sigma - f * nodes.level.sigma**2
    return Level(f * level.alpha, w / level.sigma + f * level.sigma)


def _as_sde(level: Level, step: Step, count: int) -> Level:
    """The rates with which a step of the SDE of length 1/N is that step.

    Euler-Maruyama's mean is (1 - f/N) x + 2 w/N score, its variance 2 w/N.
    """
    f = (1 - step.kept) * count
    w = step.gained * step.share * count / 2
    return Level(f * level.alpha, w / level.sigma + f * level.sigma)


@checks("score_sde", "pc")
def predictor_corrector(case: Case) -> Comparisons:
    kwargs, data = case.kwargs, problem(case.problem)
    name, schedule, settings = process(case)
    count = asked(case, "N")
    _names(case, name)
    corrections = asked(case, "n_steps") if kwargs["corrector"] != "none" else 0
    predicts = kwargs["predictor"] != "none"
    each = corrections + predicts
    time = np.linspace(1, asked(case, "eps"), count)
    yield same("times", time, case["timesteps"], atol=1e-12)
    nodes = at_times(schedule, time)
    level = _levels(case, name, settings, nodes)
    yield same("alpha", np.repeat(level.alpha, each), case["eval_alpha"], rtol=1e-9)
    yield same("sigma", np.repeat(level.sigma, each), case["eval_sigma"], rtol=1e-9)
    yield from _network(case, name)

    solver, last = _solvers(case, name)
    at_level = Nodes(nodes.time, level, _rates(level, nodes))
    here, there, ends, spread = _between(case, name, settings, at_level)
    # Every step by itself, from the recorded state.
    x = case["eval_x"][::each]
    draws = case.get("noise", np.zeros((count * each, *x.shape[1:]))).reshape(
        count, each, *x.shape[1:]
    )
    scaled = draws.copy()
    if predicts:
        scaled[:, -1] *= spread[:, None, None]
    # Annealed Langevin steps are by the noise of the time, not that of the table's entry.
    annealed = kwargs["corrector"] == "ald" and not asked(case, "continuous")
    factors = np.asarray(nodes.level.sigma / level.sigma) if annealed else None

    def steps_of(solver: Solver, chosen: np.ndarray) -> np.ndarray:
        steps = _take((here, there, x, scaled), chosen)
        if factors is None:
            return np.array(apart(solver, data, *steps).x)
        return _each_by(factors[chosen], solver, data, steps)

    moved = steps_of(solver, np.arange(count))
    chosen = np.flatnonzero(ends)
    if chosen.size:  # steps to no level: the variance that they take away is more than there is
        moved[chosen] = steps_of(last, chosen)
    yield same("states", moved[:-1], x[1:], rtol=1e-9, atol=1e-9)
    yield same("noisy end", moved[-1], case["final_noisy"], rtol=1e-9, atol=1e-9)
    if asked(case, "denoise") and predicts:  # the mean of the last step
        scaled[-1, -1] = 0
        moved = steps_of(last if ends[-1] else solver, np.array([count - 1]))
    yield same("end", moved[-1], case["final"], rtol=1e-9, atol=1e-9)
    # Without a predictor ours ends with a denoised estimate, theirs with the last correction.
    found = solver.evaluations(count) - (not predicts)
    yield same("NFE", found, case.nfe)
    # Theirs counts an evaluation for correctors and predictors that do nothing.
    yield same("NFE reported", count * (asked(case, "n_steps") + 1), case["nfe_reported"])


def _names(case: Case, name: str) -> None:
    """Raises Uncovered for what has no meaning here, nor in its authors' code."""
    predictor = known("predictor", case.kwargs["predictor"], *PREDICTORS)
    corrector = known("corrector", case.kwargs["corrector"], *CORRECTORS)
    if predictor == corrector == "none":
        raise Uncovered("a run with neither predictor nor corrector")
    if predictor == "ancestral_sampling" and asked(case, "probability_flow"):
        raise Uncovered("ancestral sampling of the probability flow")
    if predictor == "ancestral_sampling" and name == "subvp":
        raise Uncovered("ancestral sampling of a process without a chain")


def _each_by(factors: np.ndarray, solver: Solver, data: Problem, steps: Any) -> np.ndarray:
    """What each of the steps gives if its corrector's ratio is multiplied by a factor."""
    assert isinstance(solver, PredictorCorrector)
    moved = []
    for i, factor in enumerate(factors):
        scaled = dataclasses.replace(solver, snr=solver.snr * factor)
        here, there, x, draws = _take(steps, np.array([i]))
        moved.append(apart(scaled, data, here, there, x, draws).x)
    return np.concatenate(moved)


def _take(tree: Any, index: np.ndarray) -> Any:
    return jax.tree.map(lambda values: jnp.asarray(np.asarray(values)[index]), tree)


def _network(case: Case, name: str) -> Comparisons:
    """Their network gives the noise, or the score of the variance-exploding process."""
    level = case["eval_alpha"][:, None], case["eval_sigma"][:, None]
    kind = Score() if name == "ve" else Epsilon()
    out = predicted(problem(case.problem), kind, case["eval_x"], *level)
    yield same("network", out, case["eval_out"], rtol=1e-7, atol=1e-9)


def _solvers(case: Case, name: str) -> tuple[Solver, Solver]:
    """Our solver, and the one that steps to no level."""
    kwargs = case.kwargs
    predictor, flow = kwargs["predictor"], asked(case, "probability_flow")
    sde = Euler() if flow else EulerMaruyama()
    chosen: Solver | None = {
        "euler_maruyama": sde,
        # The discretisation of a process that has no chain of its own is Euler's.
        "reverse_diffusion": sde if name == "subvp" else ReverseDiffusion(probability_flow=flow),
        "ancestral_sampling": Ancestral("small" if name == "ve" else "large"),
        "none": None,
    }[predictor]
    snr, corrections = kwargs["snr"], asked(case, "n_steps")
    if kwargs["corrector"] == "none":
        assert chosen is not None
        return chosen, sde

    def corrected(solver: Solver | None) -> Solver:
        return PredictorCorrector(solver, kwargs["corrector"], corrections, snr, norms="batch")

    return corrected(chosen), corrected(sde)


def _between(
    case: Case, name: str, settings: dict[str, float], nodes: Nodes
) -> tuple[Nodes, Nodes, np.ndarray, np.ndarray]:
    """Where each step starts and goes, which go to no level, and the scale of their noise."""
    kwargs, time = case.kwargs, np.asarray(nodes.time)
    count = asked(case, "N")
    there = Nodes(nodes.time - 1 / count, nodes.level, nodes.rate)
    one, none = np.ones(len(time)), np.zeros(len(time), bool)
    if name == "subvp":
        return nodes, there, none, one
    step = _discrete(case, name, settings, time)
    alpha, sigma = (np.asarray(v) for v in (nodes.level.alpha, nodes.level.sigma))
    left = (sigma**2 - step.gained) / step.ratio**2
    ends = (left < 1e-9 * sigma**2) & (kwargs["predictor"] != "none")
    if kwargs["predictor"] in ("euler_maruyama", "none"):
        ends = none
    after = np.where(left < 1e-9 * sigma**2, sigma, np.sqrt(np.abs(left)))
    there = Nodes(
        there.time, Level(jnp.asarray(alpha / step.ratio), jnp.asarray(after)), nodes.rate
    )
    if kwargs["predictor"] == "euler_maruyama":
        return nodes, there, none, one
    as_sde = _as_sde(nodes.level, step, count)
    rate = jax.tree.map(lambda v, w: jnp.where(ends, v, w), as_sde, nodes.rate)
    ours = np.where(ends, np.sqrt(step.gained * step.share), np.sqrt(step.gained))
    if name == "ve" and kwargs["predictor"] == "ancestral_sampling":
        ours = np.where(ends, ours, np.sqrt(step.gained) * after / sigma)
    return Nodes(nodes.time, nodes.level, rate), there, ends, step.spread / ours
