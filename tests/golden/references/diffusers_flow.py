"""diffusers' schedulers for flow matching: Euler, Heun and LCM."""

import functools

import jax.numpy as jnp
import numpy as np

from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.solvers import Solver, solvers
from tests.golden.check import Comparisons, Deliberate, Fault, checks, same
from tests.golden.diffusers import (
    Config,
    flow_match_grid,
    flowing,
    given,
    outputs,
    prediction,
    recorded_prediction,
)
from tests.golden.load import Case
from tests.golden.problems import problem
from tests.golden.references.diffusers_sigma import CHURN
from tests.golden.replay import replay

TOLERANCE = 1e-9


def _last_noise() -> None:
    """At t = 1/1000 the shift's formula, by hand, is a third of where the scheduler ends."""
    shift, t = 3.0, 1 / 1000
    once = shift * t / (1 + (shift - 1) * t)
    ours = schedules.make(f"rectified_flow(shift={shift})").level(jnp.asarray(t)).sigma
    assert abs(float(ours) / once - 1) < 1e-12, "our own shift is not the formula's"
    twice = shift * once / (1 + (shift - 1) * once)
    assert abs(twice - 0.008928571428571) < 1e-12, "the recorded last sigma is another"
    assert twice / once > 2.9, "the shift is applied once"


TWICE = Fault("the shift is applied twice at the small end", shown=_last_noise)


@checks(
    "diffusers",
    "FlowMatchEulerDiscreteScheduler",
    "FlowMatchHeunDiscreteScheduler",
    "FlowMatchLCMScheduler",
)
def flow_match(case: Case) -> Comparisons:
    config = Config(case)
    heun, latent = "Heun" in case.family, "LCM" in case.family
    sigma, twice = flow_match_grid(case)
    recorded = case["sigmas"]
    # Heun's list has all nodes but the first and the last in it twice.
    recorded = np.append(recorded[:-1:2], recorded[-1]) if heun else recorded
    swapped = config["invert_sigmas"]
    yield same("sigma", 1 - sigma if swapped else sigma, recorded, rtol=1e-10, atol=1e-15)
    times = np.repeat(recorded[:-1], 2)[1:] if heun else recorded[:-1]
    given_labels = given(case, "set_timesteps", "timesteps")
    if given_labels is None or swapped:
        yield same("labels", times * config["num_train_timesteps"], case["timesteps"], rtol=1e-10)
    else:
        yield same("labels", given_labels, case["timesteps"])

    stochastic = latent or config["stochastic_sampling"]
    solver = solvers.make("heun" if heun else "consistency" if stochastic else "euler")
    steps = len(sigma) - 1
    yield same("evaluations", solver.evaluations(steps), case.nfe)
    churn = [given(case, "step", name) for name in ("s_churn", "s_tmin", "s_tmax", "s_noise")]
    if swapped:
        yield from backwards(case, solver, 1 - sigma)
        return
    yield from recorded_prediction(case)
    if heun and churn[0] and "noise" in case:
        raise Deliberate(CHURN)
    found = replay(solver, flowing(sigma), problem(case.problem), case["x_init"], case.get("noise"))
    states = case["traj"][1:]
    # Heun's has the estimates in between, too.
    states = np.concatenate([states[1:-1:2], states[-1:]]) if heun else states
    yield same("states", found.x, states, atol=TOLERANCE)
    yield same("end", found.x[-1], case["final"], atol=TOLERANCE)
    if twice:
        raise Deliberate(TWICE)


def backwards(case: Case, solver: Solver, rising: np.ndarray) -> Comparisons:
    """A run whose sigmas rise to 1: to data, of a network that has them in the place of noise.

    For any other network it leads from data to noise; the levels at which the network was asked
    tell one from the other.
    """
    data, x, noise = problem(case.problem), case["x_init"], case.get("noise")
    to_data = abs(case["eval_alpha"][0] - rising[0]) < 1e-9
    yield from outputs(case, prediction(case), -1.0 if to_data else 1.0)
    if to_data and solver.stochastic:
        raise Deliberate(Fault(DATA_DRAWN, functools.partial(_shown_noise, case)))
    sigma = 1 - rising if to_data else rising
    if sigma[0] > 0 or solver.stochastic:
        found = replay(solver, flowing(sigma), data, x, noise).x
    else:  # off clean data, which have no noise, by alpha alone
        x = (1 - sigma[1]) * x
        found = x[None]
        if len(sigma) > 2:
            found = np.append(found, replay(solver, flowing(sigma[1:]), data, x).x, axis=0)
    yield same("states", found, case["traj"][1:], atol=TOLERANCE)
    yield same("end", found[-1], case["final"], atol=TOLERANCE)


DATA_DRAWN = "with data in the place of noise, stochastic sampling draws data as normal noise"


def _shown_noise(case: Case) -> None:
    np.testing.assert_allclose(case["final"], case["noise"][-1], atol=1e-9)
