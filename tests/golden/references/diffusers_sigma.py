"""diffusers' schedulers that came from k-diffusion: all step in sigma/alpha.

Their runs are a list of calls, one or two a step; a step's first call asks the network at a node,
and leaves behind an estimate of where the second one is made.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffusion_jax.process.preconditionings import input_scale
from diffusion_jax.process.predictions import predictions
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.grids import grids
from diffusion_jax.sampling.solvers import Solver, solvers
from diffusion_jax.verification.oracles import GaussianMixture
from tests.golden.check import Comparison, Comparisons, Deliberate, Fault, checks, known, same
from tests.golden.diffusers import (
    Config,
    data,
    exploding,
    fractional,
    given,
    label_of,
    noise_grid,
    outputs,
    recorded_prediction,
    start_scale,
    steps_of,
    table,
)
from tests.golden.load import Case
from tests.golden.references.diffusers_dpm import ENDS, SIGNS
from tests.golden.references.k_diffusion_samplers import on_one_path
from tests.golden.replay import replay
from tests.golden.spec import spec
from tests.sampling.exact import compiled

STATES = 1e-9


def calls_per_step(case: Case) -> int:
    """How many calls a step of the scheduler takes, the last aside."""
    return 2 if case.family.startswith(("Heun", "KDPM2", "DPMSolverSDE")) else 1


def churned(case: Case) -> dict[str, Any]:
    """The churn of a run, as `edm` takes it."""
    return {
        "churn": given(case, "step", "s_churn", 0.0),
        "s_tmin": given(case, "step", "s_tmin", 0.0),
        "s_tmax": given(case, "step", "s_tmax", float("inf")),
        "s_noise": given(case, "step", "s_noise", 1.0),
    }


def s_noise(case: Case) -> float:
    """The standard deviation of the noise of a step."""
    return float(given(case, "step", "s_noise", 1.0))


SOLVERS: Mapping[str, Callable[[Case], str]] = {
    "EulerDiscreteScheduler": lambda case: spec("edm", order=1, **churned(case)),
    "EDMEulerScheduler": lambda case: spec("edm", order=1, **churned(case)),
    "HeunDiscreteScheduler": lambda case: "edm",
    "KDPM2DiscreteScheduler": lambda case: "dpm_2",
    "KDPM2AncestralDiscreteScheduler": lambda case: "dpm_2_ancestral",
    "EulerAncestralDiscreteScheduler": lambda case: "euler_ancestral",
    "LMSDiscreteScheduler": lambda case: spec(
        "lms", points=given(case, "step", "order", 4), start="euler", last="full"
    ),
    "DPMSolverSDEScheduler": lambda case: spec("dpmpp_sde", s_noise=s_noise(case)),
}


def draws_of(case: Case, solver: Solver, sigma: np.ndarray) -> np.ndarray | None:
    """The recorded draws as ours are asked for, none for the last step unless it is recorded."""
    if "noise" not in case:
        return None
    drawn, steps = case["noise"], len(sigma) - 1
    if case.family != "DPMSolverSDEScheduler":
        return np.concatenate([drawn, np.zeros((steps - len(drawn), *drawn.shape[1:]))])
    pairs = drawn.reshape(steps - 1, 2, *drawn.shape[1:])
    middle = np.sqrt(sigma[:-2] * sigma[1:-1])
    moved = on_one_path(pairs, sigma[:-2], middle, sigma[1:-1])
    return np.concatenate([moved, np.zeros((1, *moved.shape[1:]))])


def tolerance(case: Case) -> float:
    """Of states. On x_0 + sigma eps digits count from the largest, and some are lost.

    An ancestral step finds the sigma that it goes down to from a difference of squares, of which
    a very long step leaves but a few digits.
    """
    lost = 10.0 if "Ancestral" in case.family else 1.0
    return STATES * max(1.0, lost * float(np.abs(case["traj"]).max()))


def replayed(case: Case, solver: Solver, sigma: np.ndarray) -> Comparisons:
    """Our run over our grid beside the recorded one, which has a state for every call."""
    steps = len(sigma) - 1
    calls = solver.evaluations(steps)
    yield same("evaluations", calls, case.nfe)
    draws = draws_of(case, solver, sigma)
    states = replay(solver, exploding(sigma), data(case), case["x_init"], draws)
    # Where a step has two calls, the state after the second is the step's; the last has but one.
    ends = np.append(np.arange(1, steps) * calls_per_step(case), calls)
    atol = tolerance(case)
    yield same("states", states.x, case["traj"][ends], atol=atol)
    yield same("final", states.x[-1], case["final"], atol=atol)
    if calls == steps:
        yield same("estimates of x_0", states.denoised, case["pred_x0"], atol=atol)


def labelled(case: Case, sigma: np.ndarray) -> Iterator[Comparison]:
    """The time labels that the network is asked with at the nodes."""
    config, asked = Config(case), case["timesteps"][:: calls_per_step(case)]
    if known("timestep_type", config["timestep_type"], "discrete", "continuous") == "continuous":
        yield same("labels", np.log(sigma[:-1]) / 4, asked, rtol=1e-9)
        return
    respaced = any(config[f"use_{name}_sigmas"] for name in ("karras", "exponential", "beta"))
    listed = given(case, "set_timesteps", "sigmas") is not None
    ours = label_of(config, sigma[:-1]) if respaced or listed else fractional(case)
    if config["use_karras_sigmas"] and case.family.startswith("KDPM2"):
        ours = ours.round()
    yield same("labels", ours, asked, rtol=1e-7, atol=1e-7)


@checks("diffusers", *(name for name in SOLVERS if name != "EDMEulerScheduler"))
def in_sigma(case: Case) -> Comparisons:
    yield from table(case)
    yield from recorded_prediction(case)
    whole = noise_grid(case)
    calls = calls_per_step(case)
    nodes = case["sigma_k"][::calls]
    sigma = whole[: len(nodes) + 1]  # respaced by "log_linear" there is one more than is used
    yield same("nodes", sigma[:-1], nodes, rtol=1e-10)
    if calls == 1:  # elsewhere the reference's own list has some of them twice
        yield same("grid", whole, case["sigmas"], rtol=1e-10)
    yield same("scale of the start", start_scale(case, whole), case["init_noise_sigma"], rtol=1e-10)
    yield from labelled(case, sigma)
    yield from run(case, sigma, case["eval_alpha"])


def run(case: Case, sigma: np.ndarray, scale: np.ndarray) -> Comparisons:
    """The run, if it is without the fault of the churn.

    Args:
        case: the recorded run.
        sigma: our grid.
        scale: of what the network was given, relative to x_0 + sigma eps.
    """
    solver = solvers.make(SOLVERS[case.family](case))
    if given(case, "step", "s_churn", 0.0) > 0:
        yield same("evaluations", solver.evaluations(len(sigma) - 1), case.nfe)
        # The fault itself: what the network was asked is the state before the noise.
        asked = case["eval_x"] / scale[:, None, None]
        yield same("what the network was asked", asked, case["traj"][:-1], rtol=1e-9, atol=1e-9)
        raise Deliberate(CHURN)
    yield from replayed(case, solver, sigma)


@checks("diffusers", "EDMEulerScheduler")
def edm_euler(case: Case) -> Comparisons:
    config, steps = case.kwargs["config"], steps_of(case)
    config.get("num_train_timesteps")  # labels are of sigma alone
    ends = {"sigma_min": config.get("sigma_min", 0.002), "sigma_max": config.get("sigma_max", 80.0)}
    laid_out = config.get("sigma_schedule", "karras")
    karras = known("sigma_schedule", laid_out, "karras", "exponential") == "karras"
    rho = config.get("rho", 7.0)
    grid = spec("karras", rho=rho, **ends) if karras else spec("log_snr", **ends)
    nodes = compiled(grids.make(grid), schedules.make(spec("edm", **ends)), steps)
    sigma = np.array(nodes.level.noise_to_signal)
    if steps == 1 and not karras:
        sigma[0] = ends["sigma_min"]  # its list is laid out from the other end
    if known("final_sigmas_type", config.get("final_sigmas_type", "zero"), *ENDS) == "sigma_min":
        sigma[-1] = sigma[-2]
    yield same("grid", sigma, case["sigmas"], rtol=1e-10)
    start = np.hypot(ends["sigma_max"], 1)
    yield same("scale of the start", start, case["init_noise_sigma"], rtol=1e-10)
    yield same("labels", np.log(sigma[:-1]) / 4, case["timesteps"], rtol=1e-9)

    sigma_data = config.get("sigma_data", 0.5)
    kind = predictions.make(spec("edm", sigma_data=sigma_data))
    # What they call v has the sign of v.
    sign = SIGNS[config.get("prediction_type", "epsilon")]
    scale = np.asarray(input_scale(exploding(sigma[:-1]).level, sigma_data))
    yield from outputs(case, kind, sign, scale)
    yield from run(case, sigma, scale)


def churn_is_too_late() -> None:
    """Their step with churn on data at a single point, where every estimate is exact.

    z = s e, with the network asked at z and s, before n is added: z_next = s e + added n +
    (s_next - s_hat) e. Its variance should be s_next².
    """
    s, s_next, gamma = 1.0, 0.7, 0.3
    s_hat = s * (1 + gamma)
    added = s_hat**2 - s**2
    theirs = (s + s_next - s_hat) ** 2 + added
    assert abs(theirs / s_next**2 - 1) > 0.1, "the variance is right"
    solver = solvers.make(spec("edm", order=1, churn=gamma, s_tmax=10.0))
    unit = np.array([[1.0, 0.0], [0.0, 0.0]])  # of e, and of n in another sample
    nodes = exploding(np.array([s, s_next]))
    point = GaussianMixture(jnp.ones(1), jnp.zeros((1, 2)), jnp.zeros(1))
    ends = replay(solver, nodes, point, unit * s, unit[None, ::-1]).x[-1]
    assert abs((ends**2).sum() - s_next**2) < 1e-9, "ours is wrong"


CHURN = Fault(
    "its churn adds noise after the network was asked, so that the estimate is of less noise than "
    "the step takes it for, and the variance is wrong even for data at a single point",
    churn_is_too_late,
)
