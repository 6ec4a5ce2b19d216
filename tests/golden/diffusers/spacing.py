"""The table that a diffusers scheduler was built with, and what it steps through."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from scipy.stats import beta as beta_distribution

from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules import Schedule, schedules
from diffusion_jax.process.schedules.scaled_linear import scaled_linear, sigmoid_beta
from diffusion_jax.process.schedules.table import Table, ddpm_cosine, ddpm_linear
from diffusion_jax.process.schedules.zero_terminal_snr import ZeroTerminalSnr
from diffusion_jax.sampling.grids import Nodes
from tests.golden.check import Comparisons, same
from tests.golden.diffusers.settings import Config, given, steps_of
from tests.golden.load import Case
from tests.golden.replay import nodes_at


def schedule(config: Mapping[str, Any]) -> Schedule:
    """The schedule through a scheduler's table, where label i has time (i + 1)/T."""
    made = _table(config)
    return ZeroTerminalSnr(made) if config["rescale_betas_zero_snr"] else made


def _table(config: Mapping[str, Any]) -> Table:
    if config["trained_betas"] is not None:
        return Table.from_betas(jnp.asarray(config["trained_betas"]))
    count, start, end = (config[k] for k in ("num_train_timesteps", "beta_start", "beta_end"))
    kind = config["beta_schedule"]
    if kind == "squaredcos_cap_v2":
        return ddpm_cosine(count)
    if kind == "linear":  # ours is scaled by 1000/steps
        return ddpm_linear(count, start * count / 1000, end * count / 1000)
    return {"scaled_linear": scaled_linear, "sigmoid": sigmoid_beta}[kind](count, start, end)


def levels(config: Mapping[str, Any]) -> Level:
    """The noise level at every label, (T,)."""
    count = config["num_train_timesteps"]
    return schedule(config).level(jnp.arange(1, count + 1) / count)


def table(case: Case) -> Comparisons:
    """Our table of levels beside the scheduler's."""
    if "alphas_cumprod" in case:
        ours = levels(Config(case))
        yield same("alpha", ours.alpha**2, case["alphas_cumprod"], rtol=1e-10)


def labels(case: Case, extra: int = 0) -> np.ndarray:
    """The integer labels at which a scheduler asks its network, noisiest first (last, if inverse).

    Args:
        case: the recorded run.
        extra: how many labels more than steps are laid out, and dropped at the end.
    """
    config = Config(case)
    listed = given(case, "set_timesteps", "timesteps")
    if listed is not None:
        return np.asarray(listed)
    steps, count, spacing = (
        steps_of(case),
        config["num_train_timesteps"],
        config["timestep_spacing"],
    )
    offset = config["steps_offset"]
    last, way = count - _clipped(config), 1 if inverse(case) else -1
    if spacing == "linspace":
        found = np.linspace(0, last - 1, steps + extra).round()[::way][:steps]
    elif spacing == "leading":
        step = last // (steps + extra)
        found = (np.arange(steps + extra) * step)[::way][:steps] + offset
    else:
        found = np.round(np.arange(last, 0, -count / steps))[::-way] - 1
    return found.astype(int)


def inverse(case: Case) -> bool:
    """Whether a run goes from data to noise."""
    return "Inverse" in case.family


def _clipped(config: Mapping[str, Any]) -> int:
    """How many of the noisiest labels lie below the least log(alpha/sigma) allowed."""
    lowest = config["lambda_min_clipped"]
    if lowest == -np.inf:
        return 0
    level = levels(config)
    return int(np.sum(np.log(level.alpha / level.sigma) < lowest))


def fractional(case: Case) -> np.ndarray:
    """The labels of schedulers that came from k-diffusion, of which linspace rounds none."""
    config, steps = Config(case), steps_of(case)
    if config["timestep_spacing"] == "linspace":
        return np.linspace(0, config["num_train_timesteps"] - 1, steps)[::-1]
    return labels(case).astype(float)


def ratios(config: Mapping[str, Any]) -> np.ndarray:
    """sigma/alpha at every label; where the table ends without signal, alpha counts as 2^-12."""
    level = levels(config)
    blind = np.asarray(level.alpha) == 0
    alpha = np.where(blind, 2.0**-12, level.alpha)
    return np.sqrt(1 - alpha**2) / alpha if blind.any() else np.asarray(level.sigma) / alpha


def noise_grid(case: Case) -> np.ndarray:
    """sigma/alpha at every node of a run, (steps + 1,), whose last is where it ends.

    For all schedulers with a `sigmas` array, where they go by the noise and not by a flow.
    """
    config, steps, whole = Config(case), steps_of(case), ratios(Config(case))
    listed = given(case, "set_timesteps", "sigmas")
    if listed is not None:
        return np.asarray(listed)
    dpm = case.family.startswith(("DPMSolverM", "DPMSolverSin", "UniPC", "DEIS", "SASolver"))
    at = labels(case, extra=1) if dpm else fractional(case)
    found = np.interp(at, np.arange(len(whole)), whole)
    # DPM-Solvers respace the whole table, the others what they would have stepped through.
    low, high = (whole[0], whole[-1]) if dpm else (found[-1], found[0])
    low = low if config["sigma_min"] is None else config["sigma_min"]
    high = high if config["sigma_max"] is None else config["sigma_max"]
    if config["interpolation_type"] == "log_linear":
        found = np.geomspace(whole[-1], whole[0], steps + 1)
    found = respaced(config, low, high, steps, found)
    if inverse(case):
        return np.append(found, whole[-1])
    ends = {"zero": 0.0, "sigma_min": whole[0]}
    return np.append(found, ends[config["final_sigmas_type"]])


def respaced(
    config: Mapping[str, Any], low: float, high: float, steps: int, otherwise: np.ndarray
) -> np.ndarray:
    """`steps` noises from `high` down to `low` as the settings say, or `otherwise`."""
    if config["use_karras_sigmas"]:
        return np.linspace(high ** (1 / 7), low ** (1 / 7), steps) ** 7
    if config["use_exponential_sigmas"] or config["use_lu_lambdas"]:
        return np.geomspace(high, low, steps)
    if config["use_beta_sigmas"]:
        return low + (high - low) * beta_distribution.ppf(np.linspace(1, 0, steps), 0.6, 0.6)
    return otherwise


def label_of(config: Mapping[str, Any], ratio: np.ndarray) -> np.ndarray:
    """The label of sigma/alpha, linear in its logarithm between the entries of the table."""
    whole = np.log(ratios(config))
    return np.interp(np.log(ratio), whole, np.arange(len(whole)))


def shifted(sigma: np.ndarray, shift: float) -> np.ndarray:
    """A flow's noise with its log-SNR lowered by 2 log(shift)."""
    return shift * sigma / (1 + (shift - 1) * sigma)


def flow_grid(case: Case) -> np.ndarray:
    """sigma at every node of a run of DPM-Solvers with `use_flow_sigmas`, (steps + 1,)."""
    config, steps = Config(case), steps_of(case)
    sigma = np.linspace(1, 1 / config["num_train_timesteps"], steps + 1)
    if case.family.startswith("UniPC"):
        sigma = np.minimum(shifted(sigma, config["flow_shift"]), 1 - 1e-6)[:-1]
    else:
        sigma = shifted(1 - sigma, config["flow_shift"])[::-1][:-1]
    last = sigma[-1] if config["final_sigmas_type"] == "sigma_min" else 0.0
    return np.append(sigma, last)


def flow_schedule(config: Mapping[str, Any], mu: float | None) -> Schedule:
    """The flow with its shift, which is fixed or grows with the size of pictures."""
    shift = config["shift"]
    if config["use_dynamic_shifting"]:
        shift = {"exponential": np.exp, "linear": float}[config["time_shift_type"]](mu)
    return schedules.make(f"rectified_flow(shift={shift})")


def flow_match_grid(case: Case) -> tuple[np.ndarray, bool]:
    """sigma at every node of a FlowMatch scheduler, (steps + 1,), and whether it shifts twice.

    The time of the last noisy node should be 1/T; it is the sigma there, shifted already, which is
    then shifted again.
    """
    config, steps = Config(case), steps_of(case)
    flow = flow_schedule(config, given(case, "set_timesteps", "mu"))
    time, last = given(case, "set_timesteps", "sigmas"), 1 / config["num_train_timesteps"]
    twice = time is None and not config["use_dynamic_shifting"] and config["shift"] != 1
    if twice:
        last = float(flow.level(jnp.asarray(last)).sigma)
    time = np.linspace(1, last, steps) if time is None else np.asarray(time)
    sigma = np.asarray(flow.level(jnp.asarray(time)).sigma)
    if config["shift_terminal"]:
        sigma = 1 - (1 - sigma) / (1 - sigma[-1]) * (1 - config["shift_terminal"])
    return np.append(respaced(config, sigma[-1], sigma[0], steps, sigma), 0.0), twice


def nodes(ratio: Any, time: Any = None) -> Nodes:
    """Variance-preserving nodes at given sigma/alpha; `time` as in `nodes_at`."""
    alpha = 1 / np.sqrt(1 + np.asarray(ratio) ** 2)
    return nodes_at(alpha, np.asarray(ratio) * alpha, time)


def exploding(ratio: Any) -> Nodes:
    """Nodes of the process x_0 + sigma eps, whose time is sigma, as k-diffusion has it."""
    ratio = np.asarray(ratio, float)
    level = Level(jnp.ones(len(ratio)), jnp.asarray(ratio))
    return Nodes(level.sigma, level, Level(jnp.zeros(len(ratio)), jnp.ones(len(ratio))))


def flowing(sigma: Any) -> Nodes:
    """Nodes of the flow (1 - sigma) x_0 + sigma eps, whose time is sigma."""
    sigma = np.asarray(sigma, float)
    level = Level(jnp.asarray(1 - sigma), jnp.asarray(sigma))
    return Nodes(level.sigma, level, Level(-jnp.ones(len(sigma)), jnp.ones(len(sigma))))


def start_scale(case: Case, ratio: np.ndarray) -> float:
    """The standard deviation of the start of a run from sigma/alpha on k-diffusion's scale."""
    highest = float(np.max(ratio))
    spaced = Config(case)["timestep_spacing"] in ("linspace", "trailing")
    return highest if spaced else float(np.hypot(highest, 1))
