"""diffusers' multistep schedulers: UniPC, DEIS and SA-Solver."""

import functools
from typing import Any

import numpy as np

from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers import Solver, solvers
from tests.golden.check import (
    Comparisons,
    Deliberate,
    Fault,
    Known,
    checks,
    known,
    nothing_more,
    same,
)
from tests.golden.diffusers import (
    Config,
    data,
    flow_grid,
    flowing,
    misread,
    nodes,
    noise_grid,
    recorded_prediction,
    steps_of,
    table,
)
from tests.golden.load import Case
from tests.golden.problems import problem
from tests.golden.references.diffusers_dpm import ESTIMATES, at_labels
from tests.golden.replay import replay

TOLERANCE = 1e-9


def sigma_nodes(case: Case) -> Nodes:
    """Our nodes of a scheduler that has sigmas."""
    if Config(case)["use_flow_sigmas"]:
        return flowing(flow_grid(case))
    return nodes(noise_grid(case))


def grid(case: Case, ours: Nodes) -> Comparisons:
    """Our levels beside those at which the network was asked."""
    asked = len(case["eval_sigma"])
    alpha, sigma = np.asarray(ours.level.alpha), np.asarray(ours.level.sigma)
    yield same("alpha", alpha[:asked], case["eval_alpha"], rtol=1e-9)
    yield same("sigma", sigma[:asked], case["eval_sigma"], rtol=1e-9)
    if "sigmas" in case:
        found = sigma if Config(case)["use_flow_sigmas"] else sigma / alpha
        yield same("sigmas", found, case["sigmas"], rtol=1e-9)


def run(case: Case, solver: Solver, ours: Nodes) -> Any:
    """The states of our run."""
    return replay(solver, ours, data(case), case["x_init"], case.get("noise"))


def common(case: Case, solver: Solver, ours: Nodes) -> Comparisons:
    """All but the states: settings, levels, outputs of the network and their number."""
    nothing_more(case.kwargs["step"])
    yield from table(case)
    yield from grid(case, ours)
    yield from recorded_prediction(case)
    yield same("evaluations", solver.evaluations(len(ours.time) - 1), case.nfe)


NOT_A_NUMBER = "the step onto clean data takes its infinite h for a number"


def _shown_not_a_number(case: Case) -> None:
    assert not np.isfinite(case["final"]).any(), "its sample is finite"


# It takes names of others' solvers for its own.
OTHERS = ("midpoint", "heun", "logrho")
VARIANTS = Known("solver_type", {"bh1": "bh1", "bh2": "bh2", **dict.fromkeys(OTHERS, "bh2")})


@checks("diffusers", "UniPCMultistepScheduler")
def unipc(case: Case) -> Comparisons:
    """A run of UniPC; its states are predicted ones."""
    config = Config(case)
    degree, variant = config.get("solver_order", 2), VARIANTS[config.get("solver_type", "bh2")]
    known("solver_p", config.get("solver_p"), None)  # another scheduler, as the predictor
    estimate = "x0" if config.get("predict_x0", True) else "epsilon"
    uncorrected = tuple(config.get("disable_corrector", ()))
    last = "falling" if config.get("lower_order_final", True) else "full"
    solver = solvers.make(
        f"unipc(degree={degree}, variant={variant}, estimate={estimate}, last={last}, "
        f"uncorrected={uncorrected})"
    )
    yield from misread(case)
    ours = sigma_nodes(case)
    yield from common(case, solver, ours)
    # Only estimates of x_0 are kept within range.
    kept = data(case)
    exact = kept if estimate == "x0" else problem(case.problem)
    found = replay(solver, ours, exact, case["x_init"], case.get("noise"))
    inputs = np.concatenate([case["x_init"][None], found.x[:-1]])
    yield same("inputs", inputs, case["eval_x"], atol=TOLERANCE)
    yield same("states", found.x[:-1], case["traj"][1:-1], atol=TOLERANCE)
    # With "bh2", x_0 and one value the step is finite.
    limited = variant == "bh2" and estimate == "x0" and (last == "falling" or degree == 1)
    if config["final_sigmas_type"] == "zero" and not limited:
        raise Deliberate(Fault(NOT_A_NUMBER, functools.partial(_shown_not_a_number, case)))
    yield same("final", found.x[-1], case["final"], atol=TOLERANCE)


FEW = 15  # steps below which DEIS lowers the order of the last ones


@checks("diffusers", "DEISMultistepScheduler")
def deis(case: Case) -> Comparisons:
    """A run of DEIS."""
    config = Config(case)
    known("algorithm_type", config.get("algorithm_type", "deis"), "deis", *ESTIMATES)
    known("solver_type", config.get("solver_type", "logrho"), *VARIANTS)
    lower = config.get("lower_order_final", True) and steps_of(case) < FEW
    degree, last = config.get("solver_order", 2), "falling" if lower else "full"
    solver = solvers.make(f"deis(degree={degree}, variable=log_rho, last={last})")
    yield from misread(case)
    ours = sigma_nodes(case)
    yield from common(case, solver, ours)
    found = run(case, solver, ours)
    yield same("states", found.x, case["traj"][1:], atol=TOLERANCE)
    yield same("final", found.x[-1], case["final"], atol=TOLERANCE)


def tau_of(case: Case, ours: Nodes) -> str:
    """The settings of SA-Solver's noise: as recorded, "tau1" is the default, 1 at 200 to 800."""
    tau = float(Config(case).get("tau_func", "tau=tau1").removeprefix("tau=tau"))
    flows = Config(case)["use_flow_sigmas"]
    at = at_labels(case, np.asarray(ours.level.sigma if flows else ours.level.noise_to_signal))
    active = (at >= 200) & (at <= 800)
    if not active.any():
        return "tau=0.0"
    ratio = np.asarray(ours.level.noise_to_signal)[: len(active)][active]
    return f"tau={tau}, s_tmin={ratio.min() * (1 - 1e-9)}, s_tmax={ratio.max() * (1 + 1e-9)}"


@checks("diffusers", "SASolverScheduler")
def sa_solver(case: Case) -> Comparisons:
    """A run of SA-Solver; its states are predicted ones."""
    config = Config(case)
    predictor, corrector = config.get("predictor_order", 2), config.get("corrector_order", 2)
    algorithm = config.get("algorithm_type", "data_prediction")
    known("algorithm_type", algorithm, "data_prediction", "noise_prediction")
    x0 = algorithm == "data_prediction"
    # A line through two values is integrated approximately for x_0 only.
    estimate = "estimate=x0, rule=h" if x0 else "estimate=epsilon, rule=exact"
    last = "falling" if config.get("lower_order_final", True) else "full"
    yield from misread(case)
    ours = sigma_nodes(case)
    solver = solvers.make(
        f"sa_solver(predictor={predictor}, corrector={corrector}, {tau_of(case, ours)}, "
        f"{estimate}, last={last})"
    )
    yield from common(case, solver, ours)
    found = run(case, solver, ours)
    # Noise predicted by a long polynomial may throw states far off, and digits count from there.
    atol = TOLERANCE * max(1.0, float(np.abs(case["traj"]).max()))
    yield same("states", found.x, case["traj"][1:], atol=atol)
    yield same("final", found.x[-1], case["final"], atol=atol)
