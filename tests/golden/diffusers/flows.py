"""What diffusers' schedulers for flows step through."""

import functools
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules import Schedule, schedules
from diffusion_jax.sampling.grids import Nodes
from tests.golden.check import Comparisons, Deliberate, Fault, Known, same
from tests.golden.diffusers.settings import Config, given, steps_of
from tests.golden.diffusers.spacing import inverse, noise_grid, ratios, respaced, respacing
from tests.golden.load import Case
from tests.golden.replay import at_times

SHIFTS = Known("time_shift_type", {"exponential": np.exp, "linear": float})


def flow_schedule(config: Mapping[str, Any], shift: str, mu: float | None) -> Schedule:
    """The flow with its shift, which is fixed, as `shift`, or grows with the size of pictures."""
    by = config[shift]
    if config["use_dynamic_shifting"]:
        by = SHIFTS[config["time_shift_type"]](mu)
    return schedules.make(f"rectified_flow(shift={by})")


def shifted(case: Case, shift: str, time: Any) -> np.ndarray:
    """sigma at times of the flow, whose ends may be stretched until the last is shift_terminal."""
    config = Config(case)
    flow = flow_schedule(config, shift, given(case, "set_timesteps", "mu"))
    sigma = np.asarray(at_times(flow, np.asarray(time, float)).level.sigma)
    if config["shift_terminal"]:
        sigma = 1 - (1 - sigma) / (1 - sigma[-1]) * (1 - config["shift_terminal"])
    return sigma


TABLE = (
    "beta_schedule",
    "beta_start",
    "beta_end",
    "trained_betas",
    "rescale_betas_zero_snr",
    "timestep_spacing",
    "steps_offset",
    "lambda_min_clipped",
)


def flow_grid(case: Case) -> np.ndarray:
    """sigma at every node of a run of DPM-Solvers with `use_flow_sigmas`, (steps + 1,)."""
    config, steps = Config(case), steps_of(case)
    for name in TABLE:
        config[name]  # is of a table of betas, of which a flow has none
    last = 1 / config["num_train_timesteps"]
    if respacing(config):
        ratio = noise_grid(case)[:-1]
        sigma = ratio / (1 + ratio)
    elif case.family.startswith("UniPC"):
        listed = given(case, "set_timesteps", "sigmas")
        time = np.linspace(1, last, steps + 1)[:-1] if listed is None else listed
        sigma = np.minimum(shifted(case, "flow_shift", time), 1 - 1e-6)
    else:
        sigma = shifted(case, "flow_shift", np.linspace(1 - last, 0, steps + 1)[:-1])
    # SA-Solver and inversion stay where they are in their last step.
    if case.family.startswith("SASolver") or inverse(case):
        return np.append(sigma, sigma[-1])
    # DPM-Solvers end at the least sigma/alpha of a table even so.
    least = ratios(config)[0] if case.family.startswith("DPM") else sigma[-1]
    return np.append(sigma, least if config["final_sigmas_type"] == "sigma_min" else 0.0)


def flow_match_grid(case: Case) -> tuple[np.ndarray, bool]:
    """sigma at every node of a FlowMatch scheduler, (steps + 1,), and whether it shifts twice.

    The time of the last noisy node should be 1/T; it is the sigma there, shifted already, which is
    then shifted again.
    """
    config, steps, count = Config(case), steps_of(case), Config(case)["num_train_timesteps"]
    time, last = given(case, "set_timesteps", "sigmas"), 1 / count
    labels = given(case, "set_timesteps", "timesteps")
    if time is None and labels is not None:
        time = np.asarray(labels) / count
    twice = time is None and not config["use_dynamic_shifting"] and config["shift"] != 1
    if twice:
        last = float(flow_schedule(config, "shift", None).level(jnp.asarray(last)).sigma)
    sigma = shifted(case, "shift", np.linspace(1, last, steps) if time is None else time)
    return np.append(respaced(config, sigma[-1], sigma[0], steps, sigma), 0.0), twice and steps > 1


def flowing(sigma: Any) -> Nodes:
    """Nodes of the flow (1 - sigma) x_0 + sigma eps, whose time is sigma."""
    sigma = np.asarray(sigma, float)
    level = Level(jnp.asarray(1 - sigma), jnp.asarray(sigma))
    one = np.ones(len(sigma))
    return Nodes(level.sigma, level, Level(jnp.asarray(-one), jnp.asarray(one)))


def misread(case: Case) -> Comparisons:
    """Ends the check of a run that takes respaced sigma/alpha for the sigma of a flow."""
    config = Config(case)
    if not (config["use_flow_sigmas"] and respacing(config)):
        return
    if case.family.startswith("UniPC") and config["use_karras_sigmas"]:
        return  # which converts them
    yield same("sigmas", noise_grid(case), case["sigmas"], rtol=1e-10)
    for part in ("config", "set_timesteps", "step"):
        dict(case.kwargs[part])  # nothing else that such a run was told means anything
    raise Deliberate(Fault(MISREAD, functools.partial(_shown_misread, case)))


MISREAD = "sigma/alpha that was respaced is taken for the sigma of a flow, where none is above 1"


def _shown_misread(case: Case) -> None:
    assert case["sigmas"].max() > 1, "it may be the sigma of a flow"
