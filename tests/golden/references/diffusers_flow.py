"""diffusers' schedulers for flow matching: Euler, Heun and LCM."""

import jax.numpy as jnp
import numpy as np

from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.solvers import solvers
from tests.golden.check import Comparisons, Deliberate, Fault, Uncovered, checks, same
from tests.golden.diffusers import Config, flow_match_grid, flowing, recorded_prediction
from tests.golden.load import Case
from tests.golden.problems import problem
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
    if config["invert_sigmas"]:
        raise Uncovered("data and noise in each other's place: another model's convention")
    heun, latent = "Heun" in case.family, "LCM" in case.family
    sigma, twice = flow_match_grid(case)
    recorded = case["sigmas"]
    # Heun's list has all nodes but the first and the last in it twice.
    recorded = np.append(recorded[:-1:2], recorded[-1]) if heun else recorded
    yield same("sigma", sigma, recorded, rtol=1e-10)
    times = np.repeat(sigma[:-1], 2)[1:] if heun else sigma[:-1]
    yield same("labels", times * config["num_train_timesteps"], case["timesteps"], rtol=1e-10)
    yield from recorded_prediction(case)

    stochastic = latent or config["stochastic_sampling"]
    solver = solvers.make("heun" if heun else "consistency" if stochastic else "euler")
    steps = len(sigma) - 1
    yield same("evaluations", solver.evaluations(steps), case.nfe)
    found = replay(solver, flowing(sigma), problem(case.problem), case["x_init"], case.get("noise"))
    states = case["traj"][1:]
    # Heun's has the estimates in between, too.
    states = np.concatenate([states[1:-1:2], states[-1:]]) if heun else states
    yield same("states", found.x, states, atol=TOLERANCE)
    yield same("end", found.x[-1], case["final"], atol=TOLERANCE)
    assert not case.kwargs["step"], "churn"
    if twice:
        raise Deliberate(TWICE)
