"""The table that a diffusers scheduler was built with, and what it steps through."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules import Schedule, schedules
from diffusion_jax.process.schedules.scaled_linear import scaled_linear, sigmoid_beta
from diffusion_jax.process.schedules.table import Table, ddpm_cosine, ddpm_linear
from diffusion_jax.process.schedules.zero_terminal_snr import ZeroTerminalSnr
from diffusion_jax.sampling.grids import Nodes, grids
from diffusion_jax.sampling.grids.labels import AtLabels
from tests.golden.check import Comparisons, Fault, Known, known, same
from tests.golden.diffusers.settings import Config, given, steps_of
from tests.golden.load import Case
from tests.golden.replay import at_times, nodes_at
from tests.golden.spec import spec
from tests.sampling.exact import compiled


def schedule(config: Mapping[str, Any]) -> Schedule:
    """The schedule through a scheduler's table, where label i has time (i + 1)/T."""
    made = _table(config)
    return ZeroTerminalSnr(made) if config["rescale_betas_zero_snr"] else made


TABLES = Known("beta_schedule", {"scaled_linear": scaled_linear, "sigmoid": sigmoid_beta})


def _table(config: Mapping[str, Any]) -> Table:
    if config["trained_betas"] is not None:
        return Table.from_betas(jnp.asarray(config["trained_betas"]))
    count, start, end = (config[k] for k in ("num_train_timesteps", "beta_start", "beta_end"))
    kind = config["beta_schedule"]
    if kind == "squaredcos_cap_v2":
        return ddpm_cosine(count)
    if kind == "linear":  # ours is scaled by 1000/steps
        return ddpm_linear(count, start * count / 1000, end * count / 1000)
    if kind == "exp":  # alpha² = exp(-12 t)
        return Table(jnp.asarray(-6 * np.arange(1, count + 1) / count))
    if kind == "laplace":
        return _laplace(count)
    return TABLES[kind](count, start, end)


def _laplace(count: int) -> Table:
    """The scheduler's table for a Laplace density of log-SNR, whose alpha² is meant for alpha."""
    t = np.linspace(0, 1, count + 1)
    log_snr = -np.copysign(0.5, 0.5 - t) * np.log(1 - 2 * np.abs(0.5 - t) + 1e-6)
    signal = np.sqrt(1 / (1 + np.exp(-log_snr)))
    return Table.from_betas(jnp.asarray(np.minimum(1 - signal[1:] / signal[:-1], 0.999)))


def _is_not_laplace() -> None:
    """In the middle of a Laplace density of log-SNR around 0 it is 0, where alpha² is a half."""
    ours = schedules.make("laplace").level(jnp.asarray(0.5)).alpha
    theirs = _laplace(1000).level(jnp.asarray(0.5)).alpha
    assert abs(float(ours) ** 2 - 0.5) < 1e-6, "our own is another"
    assert abs(float(theirs) ** 2 - 0.5) > 0.2, "alpha² is a half"


LAPLACE = Fault("the table called laplace takes alpha for alpha²", shown=_is_not_laplace)


def levels(config: Mapping[str, Any]) -> Level:
    """The noise level at every label, (T,), in numpy."""
    count = config["num_train_timesteps"]
    level = at_times(schedule(config), np.arange(1, count + 1) / count).level
    return jax.tree.map(np.asarray, level)


def table(case: Case) -> Comparisons:
    """Our table of levels beside the scheduler's."""
    if "alphas_cumprod" in case:
        ours = levels(Config(case))
        yield same("alpha", ours.alpha**2, case["alphas_cumprod"], rtol=1e-10)


def train_steps(case: Case) -> int:
    """How many labels a run is laid out over, which some schedulers can be told anew."""
    told = given(case, "set_timesteps", "num_train_timesteps")
    return int(told or Config(case)["num_train_timesteps"])


LAID_OUT = ("linspace", "leading", "trailing")


def labels(case: Case, extra: int = 0) -> np.ndarray:
    """The integer labels at which a scheduler asks its network, noisiest first (last, if inverse).

    Args:
        case: the recorded run.
        extra: how many labels more than steps are laid out, and dropped at the end.
    """
    config, listed = Config(case), given(case, "set_timesteps", "timesteps")
    if listed is not None:
        return np.asarray(listed)
    steps, count = steps_of(case), train_steps(case)
    spacing = known("timestep_spacing", config["timestep_spacing"], *LAID_OUT)
    last = count - _clipped(config)
    settings = {"train_steps": last}
    if spacing == "leading":
        settings |= {"offset": config["steps_offset"]}
    elif spacing == "linspace":
        steps += extra
    elif last < count:
        # Steps are as long as without the labels that are left out, and so are fewer.
        return (np.arange(last, 0, -count / steps).round() - 1)[:: -1 if inverse(case) else 1]
    laid_out = steps + extra if spacing == "leading" else steps
    grid = grids.make(spec(spacing, **settings))
    assert isinstance(grid, AtLabels)
    found = np.array(grid.labels(laid_out))[:: -1 if inverse(case) else 1]
    return found[: steps_of(case)].astype(int)


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
    listed = given(case, "set_timesteps", "timesteps")
    if listed is None and Config(case)["timestep_spacing"] == "linspace":
        grid = grids.make(f"linspace(rounded=False, train_steps={train_steps(case)})")
        assert isinstance(grid, AtLabels)
        return np.array(grid.labels(steps_of(case)))
    return labels(case).astype(float)


def ratios(config: Mapping[str, Any]) -> np.ndarray:
    """sigma/alpha at every label; where the table ends without signal, alpha counts as 2^-12."""
    level = levels(config)
    blind = np.asarray(level.alpha) == 0
    alpha = np.where(blind, 2.0**-12, level.alpha)
    return np.sqrt(1 - alpha**2) / alpha if blind.any() else np.asarray(level.sigma) / alpha


INTERPOLATED = ("linear", "log_linear")


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
    if known("interpolation_type", config["interpolation_type"], *INTERPOLATED) == "log_linear":
        found = respaced({"use_exponential_sigmas": True}, whole[0], whole[-1], steps + 1, found)
    moved = respaced(config, low, high, steps, found)
    if inverse(case):
        if moved is found:
            return np.append(found, whole[len(whole) - _clipped(config) - 1])
        moved = moved[::-1] if steps > 1 else np.array([low])  # which is laid out from there
        return np.append(moved, moved[-1])
    stays = respacing(config) and case.family.startswith(("DEIS", "SASolver"))
    last = {"zero": 0.0, "sigma_min": moved[-1] if stays else whole[0]}
    ends = Known("final_sigmas_type", last)
    return np.append(moved, ends[config["final_sigmas_type"]])


SPACINGS = {
    "use_karras_sigmas": ("karras", {}),
    "use_lu_lambdas": ("log_snr", {}),
    "use_exponential_sigmas": ("log_snr", {}),
    "use_beta_sigmas": ("beta", {"along": "noise"}),
}


def respacing(config: Mapping[str, Any]) -> str | None:
    """Which of the spacings is switched on, if any."""
    return next((name for name in SPACINGS if config.get(name)), None)


def respaced(
    config: Mapping[str, Any], low: float, high: float, steps: int, otherwise: np.ndarray
) -> np.ndarray:
    """`steps` noises from `high` down to `low` as the settings say, or `otherwise`."""
    spacing = respacing(config)
    if spacing is None:
        return otherwise
    if steps == 1:
        return np.array([high])
    ends = {"sigma_min": float(low), "sigma_max": float(high)}
    name, settings = SPACINGS[spacing]
    made = grids.make(spec(name, **settings, **ends))
    level = compiled(made, schedules.make(spec("edm", **ends)), steps).level
    return (np.asarray(level.sigma) / np.asarray(level.alpha))[:-1]


def label_of(config: Mapping[str, Any], ratio: np.ndarray) -> np.ndarray:
    """The label of sigma/alpha, linear in its logarithm between the entries of the table."""
    whole = np.log(ratios(config))
    return np.interp(np.log(ratio), whole, np.arange(len(whole)))


def nodes(ratio: Any, time: Any = None) -> Nodes:
    """Variance-preserving nodes at given sigma/alpha; `time` as in `nodes_at`."""
    alpha = 1 / np.sqrt(1 + np.asarray(ratio) ** 2)
    return nodes_at(alpha, np.asarray(ratio) * alpha, time)


def exploding(ratio: Any) -> Nodes:
    """Nodes of the process x_0 + sigma eps, whose time is sigma, as k-diffusion has it."""
    ratio = np.asarray(ratio, float)
    one, none = jnp.asarray(np.ones(len(ratio))), jnp.asarray(np.zeros(len(ratio)))
    level = Level(one, jnp.asarray(ratio))
    return Nodes(level.sigma, level, Level(none, one))


def start_scale(case: Case, ratio: np.ndarray) -> float:
    """The standard deviation of the start of a run from sigma/alpha on k-diffusion's scale."""
    highest = float(np.max(ratio))
    spaced = Config(case)["timestep_spacing"] in ("linspace", "trailing")
    return highest if spaced else float(np.hypot(highest, 1))
