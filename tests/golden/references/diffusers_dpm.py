"""diffusers' DPM-Solvers: multistep, single-step, backwards, and those on EDM's process."""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffusion_jax.process.predictions import predictions
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.grids import Nodes, grids
from diffusion_jax.sampling.solvers import Solver, solvers
from diffusion_jax.sampling.solvers.dpm.multistep_sde import DPMpp3MSDE
from diffusion_jax.sampling.solvers.exponential import between, derivatives, psi
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
    exploding,
    flow_grid,
    flowing,
    inverse,
    label_of,
    labels,
    misread,
    nodes,
    noise_grid,
    recorded_prediction,
    steps_of,
    table,
)
from tests.golden.load import Case
from tests.golden.padding import cut
from tests.golden.problems import predicted, problem
from tests.golden.replay import replay
from tests.golden.spec import spec
from tests.sampling.exact import compiled

TOLERANCE = 1e-9
FEW = 15  # steps below which the last ones are of lower order
VARIANTS = {"midpoint": "midpoint", "heun": "taylor"}  # they take all others for "midpoint"
ESTIMATES = {"dpmsolver": "epsilon", "dpmsolver++": "x0"}
KINDS = {name: name for plain in ESTIMATES for name in (plain, f"sde-{plain}")}
ALGORITHMS = Known("algorithm_type", {**KINDS, "deis": "dpmsolver++"})  # as they take it, too
NAMES = {"dpmsolver": "dpm_solver", "dpmsolver++": "dpmpp"}


def asked(case: Case, name: str, default: Any) -> Any:
    """A setting of the scheduler, or its default."""
    return case.kwargs["config"].get(name, default)


def variant(case: Case) -> str:
    """How steps of second order weigh their slope."""
    return VARIANTS.get(asked(case, "solver_type", "midpoint"), "midpoint")


def multistep(case: Case, algorithm: str) -> Solver:
    """Our multistep solver for a case."""
    order, plain = asked(case, "solver_order", 2), algorithm.removeprefix("sde-")
    last = "first" if asked(case, "euler_at_final", False) else "full"
    if asked(case, "lower_order_final", True) and steps_of(case) < FEW:
        last = "falling"
    sde = "_sde" if algorithm != plain else ""
    if order > 1:
        released = ", released=True" if order == 3 else ""
        settings = f"variant={variant(case)}, last={last}{released}"
        return solvers.make(f"{NAMES[plain]}_{order}m{sde}({settings})")
    variant(case)
    if algorithm == "sde-dpmsolver":
        return solvers.make("dpm_solver_2m_sde(degree=1)")
    return solvers.make("ddim(eta=1.0)" if sde else "ddim")


def single_step(case: Case) -> Solver:
    """Our single-step solver for a case."""
    order, steps = asked(case, "solver_order", 2), steps_of(case)
    clean = Config(case)["final_sigmas_type"] == "zero"
    lower = asked(case, "lower_order_final", False) or steps % order > 0
    algorithm = ALGORITHMS[asked(case, "algorithm_type", "dpmsolver++")]
    plain = algorithm.removeprefix("sde-")
    settings = {
        "size": order,
        "estimate": ESTIMATES[plain],
        "variant": variant(case),
        "inner": variant(case),
        # The step onto clean data is a group of its own in any case.
        "last": "falling" if lower and not clean else "greedy",
        "eta": 1.0 if algorithm != plain else 0.0,
    }
    words = ", ".join(f"{name}={value}" for name, value in settings.items())
    return solvers.make(f"dpm_solver_fast({words})")


def grid(case: Case) -> tuple[Nodes, np.ndarray]:
    """Our nodes of a run, and the same in the terms of the reference's `sigmas`."""
    if Config(case)["use_flow_sigmas"]:
        sigmas = flow_grid(case)
        return flowing(sigmas), sigmas
    return nodes(noise_grid(case)), noise_grid(case)


def at_labels(case: Case, sigmas: np.ndarray) -> np.ndarray:
    """The labels that the network is given."""
    config = Config(case)
    if config["use_flow_sigmas"]:
        return np.floor(sigmas[:-1] * config["num_train_timesteps"])
    spacings = ("use_karras_sigmas", "use_lu_lambdas", "use_exponential_sigmas", "use_beta_sigmas")
    respaced = [name for name in spacings if config[name]]
    if not respaced:
        return labels(case, extra=1)
    found = label_of(config, sigmas[:-1])
    rounds = respaced[0] in spacings[:2] and config["beta_schedule"] != "squaredcos_cap_v2"
    if not inverse(case):
        return found.round() if rounds else np.floor(found)
    # Labels that occur again are left out, and with them the last steps.
    found = np.unique(found.round() if respaced[0] == spacings[0] else found)
    return np.floor(found)


def states(case: Case, solver: Solver, ours: Nodes) -> Comparisons:
    """Our run beside the recorded one, and what it cost."""
    steps = len(ours.time) - 1
    nothing_more(case.kwargs["step"])
    yield same("evaluations", solver.evaluations(steps), case.nfe)
    found = replay(solver, ours, data(case), case["x_init"], case.get("noise")).x
    if isinstance(solver, DPMpp3MSDE) and steps > 4:
        yield same("states of lower order", found[:2], case["traj"][1:3], atol=TOLERANCE)
        raise Deliberate(Fault(AGAINST, functools.partial(_shown_against, case, ours)))
    stays = np.isclose(*case["sigmas"][-2:], rtol=1e-12, atol=0)
    if (stays or inverse(case)) and np.isnan(case["final"]).all():
        yield same("states before it", found[:-1], case["traj"][1:-1], atol=TOLERANCE)
        raise Deliberate(Fault(NOWHERE, functools.partial(_shown_not_a_number, case)))
    if case["sigmas"][-1] > 0 and abs(case["sigmas"][-2] / case["sigmas"][-1] - 1) < 1e-12:
        # A step from sigma_min to sigma_min adds the root of what rounding left between them.
        yield same("states before it", found[:-1], case["traj"][1:-1], atol=TOLERANCE)
        yield same("final", found[-1], case["final"], atol=1e-7)
        return
    yield same("states", found, case["traj"][1:], atol=TOLERANCE)
    yield same("final", found[-1], case["final"], atol=TOLERANCE)


NOWHERE = "the last step goes from the least noise to itself, and is divided by its length, 0: NaN"

AGAINST = (
    "the stochastic step of third order weighs the second difference with the wrong sign, and by "
    "no less where h is small, so that it is of first order"
)


def _shown_against(case: Case, ours: Nodes) -> None:
    """What the third recorded step gives the curvature, beside the integral of the parabola.

    The step without curvature is known to its last digit, so that the rest is its weight.
    """
    levels, count = [ours[i].level for i in range(4)], 2
    estimates = [data(case).denoise(jnp.asarray(case["traj"][i]), levels[i]) for i in range(3)]
    h = levels[3].log_snr - levels[count].log_snr
    taus = [(levels[i].log_snr - levels[count].log_snr) / h for i in (1, 0)]
    earlier = zip(taus, estimates[1::-1], strict=True)
    slope, curvature = derivatives(estimates[count], *earlier)
    step = between("x0", levels[count], levels[3], 1.0)
    x = step.linear(jnp.asarray(case["traj"][count]), estimates[count], slope)
    x = x + step.spread * jnp.asarray(case["noise"][count])
    rest = np.asarray(case["traj"][3] - x) / float(step.scale)
    weight = float(np.sum(rest * curvature) / np.sum(curvature**2))
    assert np.allclose(rest, weight * curvature, atol=1e-9), "it is another step altogether"
    assert weight * -float(psi(3, step.z)) < 0, "its weight has the right sign"


FAMILIES = ("Multistep", "MultistepInverse", "Singlestep")


@checks("diffusers", *(f"DPMSolver{kind}Scheduler" for kind in FAMILIES))
def dpm_solver(case: Case) -> Comparisons:
    """A run over a table's levels, or a flow's."""
    yield from misread(case)
    ours, sigmas = grid(case)
    asked(case, "variance_type", None)  # a variance that a network tells is left aside
    yield from table(case)
    yield same("sigmas", sigmas, case["sigmas"], rtol=1e-10)
    at = at_labels(case, sigmas)
    yield same("labels", at, case["timesteps"])
    ours = cut(ours, len(at) + 1)
    yield same("alpha", np.asarray(ours.level.alpha)[:-1], case["eval_alpha"], rtol=1e-9)
    yield same("sigma", np.asarray(ours.level.sigma)[:-1], case["eval_sigma"], rtol=1e-9)
    yield same("scale of the start", 1.0, case["init_noise_sigma"])
    yield from recorded_prediction(case)
    if "Single" in case.family:
        yield from states(case, single_step(case), ours)
        return
    algorithm = ALGORITHMS[asked(case, "algorithm_type", "dpmsolver++")]
    solver = multistep(case, algorithm)
    if algorithm.startswith("sde") and (np.diff(sigmas) > 0).any():
        yield same("evaluations", solver.evaluations(len(at)), case.nfe)
        nothing_more(case.kwargs["step"])
        data(case)
        raise Deliberate(Fault(BACKWARDS, functools.partial(_shown_not_a_number, case)))
    yield from states(case, solver, ours)


BACKWARDS = "inverting an SDE takes the square root of the negative variance of its noise: NaN"


def _shown_not_a_number(case: Case) -> None:
    assert np.isnan(case["final"]).all(), "its sample is finite"


EDM = {"sigma_min": 0.002, "sigma_max": 80.0, "sigma_data": 0.5, "sigma_schedule": "karras"}
COSINE = {"sigma_min": 0.3, "sigma_max": 500.0, "sigma_data": 1.0, "sigma_schedule": "exponential"}


ENDS = ("zero", "sigma_min")
SIGNS = Known("prediction_type", {"epsilon": 1.0, "v_prediction": -1.0})


def edm_outputs(case: Case, sigma_data: float, kind: str) -> Comparisons:
    """EDM's prediction beside the network's outputs; what they call v has its sign."""
    sigma = case["eval_sigma"][:, None]
    x = case["eval_x"] * np.hypot(sigma, sigma_data)[..., None]
    target = predictions.make(f"edm(sigma_data={sigma_data})")
    sign = SIGNS[kind]
    found = sign * predicted(problem(case.problem), target, x, 1.0, sigma)
    yield same("network's output", found, case["eval_out"], rtol=1e-9, atol=1e-9)


@checks("diffusers", "EDMDPMSolverMultistepScheduler", "CosineDPMSolverMultistepScheduler")
def edm(case: Case) -> Comparisons:
    """A run over sigmas alone."""
    cosine = case.family.startswith("Cosine")
    config = {**(COSINE if cosine else EDM), **case.kwargs["config"]}
    low, high, steps = config["sigma_min"], config["sigma_max"], steps_of(case)
    asked(case, "num_train_timesteps", 1000)  # labels are of sigma alone
    rho, ends = asked(case, "rho", 7.0), {"sigma_min": float(low), "sigma_max": float(high)}
    laid_out = asked(case, "sigma_schedule", config["sigma_schedule"])
    karras = known("sigma_schedule", laid_out, "karras", "exponential") == "karras"
    made = grids.make(spec("karras", rho=rho, **ends) if karras else spec("log_snr", **ends))
    sigma = np.asarray(compiled(made, schedules.make(spec("edm", **ends)), steps).level.sigma)[:-1]
    if steps == 1 and not karras:
        sigma = np.array([low])  # its list is laid out from the other end
    ends_at = known("final_sigmas_type", asked(case, "final_sigmas_type", "zero"), *ENDS)
    sigmas = np.append(sigma, low if ends_at == "sigma_min" else 0.0)
    yield same("sigmas", sigmas, case["sigmas"], rtol=1e-10)
    given = np.arctan(sigma) * 2 / np.pi if cosine else np.log(sigma) / 4
    yield same("labels", given, case["timesteps"], rtol=1e-9)
    start = np.hypot(asked(case, "sigma_max", high), 1)
    yield same("scale of the start", start, case["init_noise_sigma"], rtol=1e-10)
    kind = asked(case, "prediction_type", "v_prediction" if cosine else "epsilon")
    asked(case, "sigma_min", low)
    yield from edm_outputs(case, asked(case, "sigma_data", config["sigma_data"]), kind)
    default = "sde-dpmsolver++" if cosine else "dpmsolver++"
    algorithm = ALGORITHMS[asked(case, "algorithm_type", default)]
    yield from states(case, multistep(case, algorithm), exploding(sigmas))
