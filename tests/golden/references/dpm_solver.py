"""DPM-Solver's own code: multistep and single-step runs, guided, adaptive and backwards."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import X0, Prediction, convert, predictions
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.guidance.classifier import classifier_guided
from diffusion_jax.sampling.guidance.classifier_free import ClassifierFree
from diffusion_jax.sampling.solvers import Solver, solvers
from diffusion_jax.sampling.thresholds import thresholds
from diffusion_jax.struct import pytree, static
from diffusion_jax.verification.oracles import GaussianMixture
from tests.golden.check import Comparison, Comparisons, Known, Uncovered, checks, known, same
from tests.golden.diffusers import Thresholded, outputs
from tests.golden.load import Case
from tests.golden.padding import rows
from tests.golden.problems import Problem, mixture, predicted, problem
from tests.golden.replay import at_times, replay, times_of
from tests.golden.spec import spec
from tests.golden.vp_schedules import entries, of_run

TOLERANCE = 1e-9
MODELS = Known("model_type", {"noise": "epsilon", "x_start": "x0", "v": "v", "score": "score"})
ESTIMATES = Known("algorithm_type", {"dpmsolver": "epsilon", "dpmsolver++": "x0"})
VARIANTS = Known("solver_type", {"dpmsolver": "midpoint", "taylor": "taylor"})
FEW = 10  # steps below which the last ones are of lower order


def spaced(process: Schedule, skip: str, start: float, end: float, steps: int) -> np.ndarray:
    """Times from `start` to `end`, (steps + 1,)."""
    if skip == "time_uniform":
        return np.linspace(start, end, steps + 1)
    if skip == "time_quadratic":
        return np.linspace(start**0.5, end**0.5, steps + 1) ** 2
    known("skip_type", skip, "time_uniform", "time_quadratic", "logSNR")
    ends = np.asarray(at_times(process, np.array([start, end])).level.log_snr)
    times = times_of(process, np.linspace(*ends, steps + 1))
    return np.concatenate([[start], times[1:-1], [end]])


def unused(case: Case, *names: str) -> None:
    """Looks at settings that are without effect in a case."""
    _ = [case.kwargs.get(name) for name in names]


def ends(case: Case, process: Schedule) -> tuple[float, float]:
    """Where a run starts and ends."""
    given = [case.kwargs.get(name) for name in ("t_start", "t_end")]
    usual = float(process.t_max), 1 / entries(process)
    usual = usual[::-1] if case.family == "inverse" else usual
    start, end = (u if g is None else g for u, g in zip(usual, given, strict=True))
    return start, end


METHODS = ("multistep", "singlestep", "singlestep_fixed", "adaptive")


def method_of(case: Case) -> str:
    """Which kind of steps a run takes."""
    return str(known("method", case.kwargs.get("method", "multistep"), *METHODS))


def sizes(order: int, steps: int, fixed: bool) -> list[int]:
    """How many evaluations each single step has."""
    if fixed:
        return [order] * (steps // order)
    rest = steps % order
    if order == 3 and rest == 0:
        return [3] * (steps // 3 - 1) + [2, 1]
    return [order] * (steps // order) + [rest] * (rest > 0)


def grid(case: Case, process: Schedule) -> tuple[np.ndarray, np.ndarray]:
    """Our times of all evaluations and the end, and which of them are the run's own steps."""
    kwargs, method = case.kwargs, method_of(case)
    steps, (start, end) = kwargs.get("steps", 20), ends(case, process)
    skip = kwargs.get("skip_type", "time_uniform")
    unused(case, "atol", "rtol", "return_intermediate")
    if method == "multistep":
        return spaced(process, skip, start, end, steps), np.arange(steps + 1)
    groups = sizes(kwargs.get("order", 2), steps, method == "singlestep_fixed")
    outer = np.append(0, np.cumsum(groups))
    if skip == "logSNR" or method == "singlestep_fixed":
        times = spaced(process, skip, start, end, len(groups))
    else:
        times = spaced(process, skip, start, end, steps)[outer]
    inner = [
        spaced(process, skip, *pair, size)[:-1]
        for *pair, size in zip(times, times[1:], groups, strict=False)
    ]
    return np.append(np.concatenate(inner), times[-1]), outer


def solver_of(case: Case) -> Solver:
    """Our solver for a case."""
    kwargs = case.kwargs
    order, estimate = kwargs.get("order", 2), ESTIMATES[case.extra["algorithm_type"]]
    variant = VARIANTS[kwargs.get("solver_type", "dpmsolver")]
    steps, method = kwargs.get("steps", 20), method_of(case)
    lower = kwargs.get("lower_order_final", True) and steps < FEW
    if method == "multistep":
        if order == 1:
            return solvers.make("ddim")
        name = {"x0": "dpmpp", "epsilon": "dpm_solver"}[estimate] + f"_{order}m"
        released = ", released=True" if order == 3 else ""
        last = "falling" if lower else "full"
        return solvers.make(f"{name}(variant={variant}, last={last}{released})")
    last = "falling" if order == 3 and method == "singlestep" else "greedy"
    settings = f"size={order}, estimate={estimate}, variant={variant}, last={last}"
    return solvers.make(f"dpm_solver_fast({settings})")


def corrected(case: Case, data: Problem) -> Problem:
    """A distribution with what the constructor was told to do with x_0."""
    told = case.extra.get("ctor") or {}
    kind, other = told.get("correcting_x0_fn"), told.get("correcting_xt_fn")
    ratio = told.get("dynamic_thresholding_ratio", 0.995)
    lowest = told.get("thresholding_max_val", 1.0)
    if other is not None or kind not in (None, "dynamic_thresholding"):
        raise Uncovered(f"a function of its own that corrects states: {other or kind!r}")
    if kind is None:
        return data
    return Thresholded(data, thresholds.make(f"dynamic(ratio={ratio}, lowest={lowest})"))


def model_of(case: Case, data: Problem) -> Problem:
    """A distribution as the steps see it: only methods that extrapolate x_0 correct it."""
    kept = corrected(case, data)
    return kept if case.extra["algorithm_type"] in ("dpmsolver++", "data_prediction") else data


def ending(case: Case, data: Problem, x: Any, nodes: Nodes) -> np.ndarray:
    """What a run returns that arrives at x: that, or the estimate of x_0 there."""
    if not case.kwargs.get("denoise_to_zero", False):
        return np.asarray(x)
    alpha, sigma = (np.asarray(values)[-1] for values in (nodes.level.alpha, nodes.level.sigma))
    return predicted(corrected(case, data), X0(), x, alpha, sigma)


def grids(case: Case, nodes: Nodes, outer: np.ndarray) -> Comparisons:
    """Our times and levels beside the recorded ones."""
    count = len(nodes.time) - 1
    yield same("times of steps", np.asarray(nodes.time)[outer], case["grid_t"], atol=1e-12)
    yield same("times of evaluations", nodes.time[:count], case["eval_t"][:count], atol=1e-12)
    alpha, sigma = (np.asarray(v)[outer] for v in (nodes.level.alpha, nodes.level.sigma))
    yield same("alpha", alpha, case["grid_alpha"], rtol=1e-10)
    yield same("sigma", sigma, case["grid_sigma"], rtol=1e-10)
    yield same("lambda", np.log(alpha / sigma), case["grid_lambda"], rtol=1e-9, atol=1e-10)


def states(case: Case, solver: Solver, nodes: Nodes, data: Problem, outer: Any) -> Comparisons:
    """Our run beside the recorded one, at the ends of its steps."""
    denoises = case.kwargs.get("denoise_to_zero", False)
    yield same("evaluations", solver.evaluations(len(nodes.time) - 1) + denoises, case.nfe)
    found = replay(solver, nodes, model_of(case, data), case["x_init"]).x[outer[1:] - 1]
    end = ending(case, data, found[-1], nodes)
    if denoises:
        found = np.append(found, end[None], axis=0)
    off = TOLERANCE * max(1.0, np.abs(case["traj"]).max())
    yield same("states", found, case["traj"][-len(found) :], atol=off)
    yield same("final", end, case["final"], atol=off)


@pytree
class Guided:
    """The mixture as a network that is guided towards one of its components."""

    mixture: GaussianMixture
    scale: float
    component: int = static()
    kind: str = static()

    def only(self, x: Array, level: Level, condition: Any = None) -> Array:
        """The component's own E[x_0 | x]."""
        return self.mixture.denoise(x, level, jnp.full(x.shape[0], self.component))

    def gradient(self, x: Array, level: Level, condition: Any = None) -> Array:
        """The gradient of log p(component | x): the difference of two scores."""
        away = self.only(x, level) - self.mixture.denoise(x, level)
        return (level.alpha / level.sigma**2)[..., None] * away

    def denoise(self, x: Array, level: Level, condition: Any = None) -> Array:
        """The guided estimate of x_0."""
        if self.kind == "classifier":
            guided = classifier_guided(self.mixture.denoise, self.gradient, self.scale)
            return guided(x, level, None)
        both = [jnp.full(x.shape[0], which) for which in (self.component, -1)]
        guide = ClassifierFree(scale=self.scale)
        return guide(self.mixture.denoise, both[1])(x, level, both[0])


@jax.jit
def _said(data: Guided, kind: Prediction, x: Array, level: Level) -> tuple[Array, Array, Array]:
    """Predictions of the whole mixture and of its component, and the classifier's gradient."""
    both = (data.mixture.denoise(x, level), data.only(x, level))
    whole, only = (convert(x0, x, level, X0(), kind) for x0 in both)
    return whole, only, data.gradient(x, level)


def guided_outputs(case: Case, data: Guided) -> Comparisons:
    """What the network and the classifier said, beside the mixture and its component."""
    x, kind = case["eval_x"], predictions.make(MODELS[case.extra.get("model_type", "noise")])
    flat = x.reshape(-1, x.shape[-1])
    levels = (np.repeat(case[f"eval_{name}"], x.shape[1]) for name in ("alpha", "sigma"))
    found = _said(data, kind, rows(flat), Level(*map(rows, levels)))
    whole, only, gradient = (np.asarray(v)[: len(flat)].reshape(x.shape) for v in found)

    def beside(what: str, found: np.ndarray, recorded: str) -> Comparison:
        return same(what, found, case[recorded], rtol=1e-9, atol=1e-9)

    by_classifier = data.kind == "classifier"
    yield beside("network's output", whole if by_classifier else only, "eval_out")
    if by_classifier:
        yield beside("classifier's gradient", gradient, "eval_grad")
    elif "eval_out_uncond" in case:
        yield beside("unconditional output", whole, "eval_out_uncond")
    yield same("number of outputs", len(case["eval_x"]), case.nfe)


GUIDANCE = ("cfg", "classifier-free", "classifier")


def data_of(case: Case) -> Problem:
    """The distribution that stands for a run's network, with its guidance."""
    guidance = case.extra.get("guidance")
    if guidance is None or guidance["type"] == "uncond":
        return problem(case.problem)
    kind, scale, component = guidance["type"], guidance["scale"], guidance["cls"]
    known("guidance", kind, *GUIDANCE)
    if case.problem != "gmm2":
        raise Uncovered(f"guidance on {case.problem}, which has no classes")
    whole = mixture()
    if component not in range(len(whole.weights)):
        raise Uncovered(f"guidance towards class {component}, which the mixture does not have")
    return Guided(whole, scale, component, kind)


def network(case: Case, data: Problem) -> Comparisons:
    """What the network said, and what guided it, beside our distribution."""
    if isinstance(data, Guided):
        yield from guided_outputs(case, data)
    else:
        yield from outputs(case, predictions.make(MODELS[case.extra.get("model_type", "noise")]))


@checks("dpm_solver", "sampler", "inverse", "guided", "adaptive")
def sampler(case: Case) -> Comparisons:
    """A run from noise to data, or back."""
    process, data = of_run(case), data_of(case)
    if method_of(case) == "adaptive":
        yield from adaptive(case, process, data)
        return
    times, outer = grid(case, process)
    nodes = at_times(process, times)
    yield from grids(case, nodes, outer)
    yield from network(case, data)
    if "orders" in case:
        yield same("orders", np.diff(outer), case["orders"])
    yield from states(case, solver_of(case), nodes, data, outer)


def adaptive(case: Case, process: Schedule, data: Problem) -> Comparisons:
    """A run that chooses its own steps, which are the same for all samples."""
    kwargs = case.kwargs
    unused(case, "steps", "skip_type", "lower_order_final", "return_intermediate")
    settings = {
        "order": kwargs.get("order", 2),
        "estimate": ESTIMATES[case.extra["algorithm_type"]],
        "variant": VARIANTS[kwargs.get("solver_type", "dpmsolver")],
        "rtol": kwargs.get("rtol", 0.05),
        "atol": kwargs.get("atol", 0.0078),
        "norm": "largest",
    }
    solver = solvers.make(spec("dpm_solver_adaptive", **settings))
    nodes = at_times(process, np.array(ends(case, process)))
    yield from network(case, data)
    found = replay(solver, nodes, model_of(case, data), case["x_init"])
    counted = found.evaluations[-1] + kwargs.get("denoise_to_zero", False)
    yield same("evaluations", counted, np.full(len(case["x_init"]), case.nfe))
    yield same("final", ending(case, data, found.x[-1], nodes), case["final"], rtol=1e-8, atol=1e-8)
