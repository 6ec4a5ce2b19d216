"""diffusers' multistep schedulers: UniPC, DEIS, SA-Solver, PNDM and improved PNDM."""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import predictions
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers import Solver, solvers
from diffusion_jax.sampling.solvers.ddim import DDIM
from diffusion_jax.struct import pytree
from tests.golden.check import Comparisons, Deliberate, Fault, checks, same
from tests.golden.diffusers import (
    Config,
    data,
    flow_grid,
    flowing,
    labels,
    nodes,
    noise_grid,
    outputs,
    ratios,
    recorded_prediction,
    steps_of,
    table,
)
from tests.golden.load import Case
from tests.golden.problems import Problem, problem
from tests.golden.references.diffusers_labels import at_labels
from tests.golden.replay import at_times, replay

TOLERANCE = 1e-9


def plain(case: Case) -> Comparisons:
    """Nothing was asked for that changes a single step."""
    yield same("settings of a step", len(case.kwargs["step"]), 0)


def sigma_nodes(case: Case) -> Nodes:
    """Our nodes of a scheduler that has sigmas."""
    if Config(case)["use_flow_sigmas"]:
        return flowing(flow_grid(case))
    return nodes(noise_grid(case))


def grid(case: Case, ours: Nodes) -> Comparisons:
    """Our levels beside those at which the network was asked."""
    asked = len(case["eval_sigma"])
    yield same("alpha", ours.level.alpha[:asked], case["eval_alpha"], rtol=1e-9)
    yield same("sigma", ours.level.sigma[:asked], case["eval_sigma"], rtol=1e-9)
    if "sigmas" in case:
        flows = Config(case)["use_flow_sigmas"]
        level = ours.level
        yield same(
            "sigmas",
            level.sigma if flows else np.asarray(level.sigma) / np.asarray(level.alpha),
            case["sigmas"],
            rtol=1e-9,
        )


def run(case: Case, solver: Solver, ours: Nodes) -> Any:
    """The states of our run."""
    return replay(solver, ours, data(case), case["x_init"], case.get("noise"))


def common(case: Case, solver: Solver, ours: Nodes) -> Comparisons:
    """All but the states: settings, levels, outputs of the network and their number."""
    yield from plain(case)
    yield from table(case)
    yield from grid(case, ours)
    yield from recorded_prediction(case)
    yield same("evaluations", solver.evaluations(len(ours.time) - 1), case.nfe)


NOT_A_NUMBER = "UniPC with B(h) = h: the last step multiplies an infinite h with 0"


def _shown_not_a_number(case: Case) -> None:
    assert np.isnan(case["final"]).all(), "its sample is finite"


@checks("diffusers", "UniPCMultistepScheduler")
def unipc(case: Case) -> Comparisons:
    """A run of UniPC; its states are predicted ones."""
    config = Config(case)
    degree, variant = config.get("solver_order", 2), config.get("solver_type", "bh2")
    estimate = "x0" if config.get("predict_x0", True) else "epsilon"
    uncorrected = tuple(config.get("disable_corrector", ()))
    last = "falling" if config.get("lower_order_final", True) else "full"
    solver = solvers.make(
        f"unipc(degree={degree}, variant={variant}, estimate={estimate}, last={last}, "
        f"uncorrected={uncorrected})"
    )
    ours = sigma_nodes(case)
    yield from common(case, solver, ours)
    found = run(case, solver, ours)
    inputs = np.concatenate([case["x_init"][None], found.x[:-1]])
    yield same("inputs", inputs, case["eval_x"], atol=TOLERANCE)
    yield same("states", found.x[:-1], case["traj"][1:-1], atol=TOLERANCE)
    if variant == "bh1" and config["final_sigmas_type"] == "zero":
        raise Deliberate(Fault(NOT_A_NUMBER, functools.partial(_shown_not_a_number, case)))
    yield same("final", found.x[-1], case["final"], atol=TOLERANCE)


FEW = 15  # steps below which DEIS lowers the order of the last ones


@checks("diffusers", "DEISMultistepScheduler")
def deis(case: Case) -> Comparisons:
    """A run of DEIS."""
    config = Config(case)
    yield same("method", config.get("algorithm_type", "deis") == "deis", True)
    yield same("variable", config.get("solver_type", "logrho") == "logrho", True)
    lower = config.get("lower_order_final", True) and steps_of(case) < FEW
    degree, last = config.get("solver_order", 2), "falling" if lower else "full"
    solver = solvers.make(f"deis(degree={degree}, variable=log_rho, last={last})")
    ours = sigma_nodes(case)
    yield from common(case, solver, ours)
    found = run(case, solver, ours)
    yield same("states", found.x, case["traj"][1:], atol=TOLERANCE)
    yield same("final", found.x[-1], case["final"], atol=TOLERANCE)


def tau_of(config: Config) -> str:
    """The settings of SA-Solver's noise: as recorded, "tau1" is the default, 1 at 200 to 800."""
    tau = float(config.get("tau_func", "tau=tau1").removeprefix("tau=tau"))
    low, high = ratios(config)[[200, 800]]
    return f"tau={tau}, s_tmin={low * (1 - 1e-9)}, s_tmax={high * (1 + 1e-9)}"


@checks("diffusers", "SASolverScheduler")
def sa_solver(case: Case) -> Comparisons:
    """A run of SA-Solver; its states are predicted ones."""
    config = Config(case)
    predictor, corrector = config.get("predictor_order", 2), config.get("corrector_order", 2)
    x0 = config.get("algorithm_type", "data_prediction") == "data_prediction"
    # A line through two values is integrated approximately for x_0 only.
    estimate = "estimate=x0, rule=h" if x0 else "estimate=epsilon, rule=exact"
    last = "falling" if config.get("lower_order_final", True) else "full"
    solver = solvers.make(
        f"sa_solver(predictor={predictor}, corrector={corrector}, {tau_of(config)}, {estimate}, "
        f"last={last})"
    )
    ours = sigma_nodes(case)
    yield from common(case, solver, ours)
    found = run(case, solver, ours)
    yield same("states", found.x, case["traj"][1:], atol=TOLERANCE)
    yield same("final", found.x[-1], case["final"], atol=TOLERANCE)


HALVED = 3  # steps that PNDM takes by Runge-Kutta


def pndm_labels(case: Case) -> np.ndarray:
    """The labels of all nodes but the last, with the middle of each Runge-Kutta step."""
    config, found = Config(case), labels(case)
    if config["skip_prk_steps"]:
        return found
    half = config["num_train_timesteps"] // steps_of(case) // 2
    first = np.stack([found[:HALVED], found[:HALVED] - half], axis=1).ravel()
    return np.concatenate([first, found[HALVED:]])


def asked(whole: Any, start: str) -> np.ndarray:
    """The nodes at which PNDM asks its network, in order."""
    count = len(whole) - 1
    if start == "improved_euler":
        return np.concatenate([[0, 1], np.arange(1, count)])
    first = [(2 * i, 2 * i + 1, 2 * i + 1, 2 * i + 2) for i in range(HALVED)]
    return np.concatenate([np.ravel(first), np.arange(2 * HALVED, count)])


VS_OF_OTHER_LEVELS = (
    "PNDM with v-prediction averages v of several levels, and takes the average for v at the "
    "latest: where eps is the same at all, that is not eps, so the method is of first order"
)


def _not_exact(case: Case) -> None:
    """For data at a point eps is the same at all levels; the eps of a recorded step is another.

    The step is x_s = a x_t + b eps, with eps = sum_i w_i v_i + u x_t of recorded v; solved for w
    and u, v_i = alpha_i eps - sigma_i x_0 and x_t = alpha_t x_0 + sigma_t eps must give eps.
    """
    skips = Config(case)["skip_prk_steps"]
    first, rest = ([0], 2) if skips else ([0, 4, 8], 12)  # the calls whose outputs it keeps
    used = np.array([*first, *range(rest, case.nfe)])[-5:-1]
    alpha, sigma, x = case["eval_alpha"], case["eval_sigma"], case["traj"]
    last = used[-1]
    ratio = alpha[last + 1] / alpha[last]
    eps = (x[last + 1] - ratio * x[last]) / (sigma[last + 1] - ratio * sigma[last])
    matrix = np.stack([*case["eval_out"][used], x[last]]).reshape(len(used) + 1, -1).T
    *w, u = np.linalg.lstsq(matrix, eps.ravel(), rcond=None)[0]
    np.testing.assert_allclose(matrix @ np.array([*w, u]), eps.ravel(), atol=1e-7)
    noise = w @ alpha[used] + u * sigma[last]
    data = u * alpha[last] - w @ sigma[used]
    assert abs(noise - 1) + abs(data) > 1e-3, "it is exact for data at a point"


@checks("diffusers", "PNDMScheduler")
def pndm(case: Case) -> Comparisons:
    """A run of PNDM, with either start."""
    config = Config(case)
    start = "improved_euler" if config["skip_prk_steps"] else "runge_kutta"
    solver, ours = (
        solvers.make(f"pndm(start={start})"),
        at_labels(case, np.append(pndm_labels(case), -1)),
    )
    order = asked(ours.time, start)
    yield from plain(case)
    yield from table(case)
    yield same("labels", pndm_labels(case)[order], case["timesteps"])
    yield same("alpha", ours.level.alpha[order], case["eval_alpha"], rtol=1e-9)
    yield same("sigma", ours.level.sigma[order], case["eval_sigma"], rtol=1e-9)
    yield from recorded_prediction(case)
    yield same("evaluations", solver.evaluations(len(ours.time) - 1), case.nfe)
    if config["prediction_type"] == "v_prediction":
        # The first call is DDIM's step in either case.
        first = ours[:2]
        yield same("first call", run(case, DDIM(), first).x[0], case["traj"][1], atol=TOLERANCE)
        raise Deliberate(Fault(VS_OF_OTHER_LEVELS, functools.partial(_not_exact, case)))
    found = run(case, solver, ours)
    # States of ours after the call of theirs that ends a step of ours.
    if start == "improved_euler":
        calls = np.arange(2, len(case["traj"]))
    else:
        halves = np.ravel([(4 * i + 2, 4 * i + 4) for i in range(HALVED)])
        calls = np.concatenate([halves, np.arange(4 * HALVED + 1, len(case["traj"]))])
    yield same("states", found.x, case["traj"][calls], atol=TOLERANCE)
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
    first = case["traj"][1] / case["eval_sigma"][1]
    np.testing.assert_allclose(first, case["x_init"] / case["eval_sigma"][0], atol=1e-9)
    assert np.abs(case["eval_out"][0]).min() > 0.1


@checks("diffusers", "IPNDMScheduler")
def ipndm(case: Case) -> Comparisons:
    """A run of improved PNDM on the levels of its own, which start without signal."""
    config, steps = Config(case), steps_of(case)
    yield same("settings of a step", len(case.kwargs["step"]), 0)
    yield same("trained betas", config["trained_betas"] is None, True)
    time = np.linspace(1, 0, steps + 1)
    ours = at_times(schedules.make("crash"), jnp.asarray(time))
    yield same("alpha", ours.level.alpha, case["alphas"], atol=1e-12)
    yield same("sigma", ours.level.sigma, case["betas"], atol=1e-12)
    level = Level(*(jnp.asarray(v)[:-1] for v in (ours.level.alpha, ours.level.sigma)))
    label = np.arctan2(level.sigma, level.alpha) * 2 / np.pi
    yield same("labels", label, case["timesteps"], atol=1e-9)
    yield from outputs(case, predictions.make("v"))
    solver = solvers.make("ipndm")
    yield same("evaluations", solver.evaluations(steps), case.nfe)
    blind = BlindAtStart(problem(case.problem))
    found = replay(solver, ours, blind, case["x_init"])
    yield same("states", found.x, case["traj"][1:], atol=TOLERANCE)
    yield same("final", found.x[-1], case["final"], atol=TOLERANCE)
    raise Deliberate(Fault(BLIND, functools.partial(_shown_blind, case)))
