"""What diffusers' schedulers mean by their settings, in terms of this library.

Three kinds of schedulers differ in what they step through. Those that step through integer labels
of a table have n rounded labels (`labels`); those of the DPM-Solver family have n + 1, of which
the last is dropped (`labels(..., extra=1)`); those that came from k-diffusion have fractional
labels (`fractional`), between which sigma/alpha is linear. The last two, and flows, then work on
sigmas (`noise_grid`, `flow_grid`), a list whose last entry is where the run ends.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy.stats import beta as beta_distribution

from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import Prediction, convert, predictions
from diffusion_jax.process.schedules import schedules
from diffusion_jax.process.schedules.table import Table
from diffusion_jax.sampling.grids import Nodes
from tests.golden.check import Comparisons, same
from tests.golden.load import Case
from tests.golden.problems import Problem, problem
from tests.golden.replay import nodes_at

COMMON = {
    "num_train_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "trained_betas": None,
    "prediction_type": "epsilon",
    "timestep_spacing": "linspace",
    "steps_offset": 0,
    "rescale_betas_zero_snr": False,
    "clip_sample": False,
    "clip_sample_range": 1.0,
    "thresholding": False,
    "dynamic_thresholding_ratio": 0.995,
    "sample_max_value": 1.0,
    "set_alpha_to_one": True,
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
    "use_lu_lambdas": False,
    "use_flow_sigmas": False,
    "flow_shift": 1.0,
    "final_sigmas_type": "zero",
    "interpolation_type": "linear",
    "timestep_type": "discrete",
    "sigma_min": None,
    "sigma_max": None,
    "lambda_min_clipped": -np.inf,
}
LEADING = {"timestep_spacing": "leading"}
STABLE = {"beta_start": 0.00085, "beta_end": 0.012}
LATENT = STABLE | LEADING | {"beta_schedule": "scaled_linear"}
DISTILLED = LATENT | {"original_inference_steps": 50}
FLOW = {
    "shift": 1.0,
    "use_dynamic_shifting": False,
    "base_shift": 0.5,
    "max_shift": 1.15,
    "base_image_seq_len": 256,
    "max_image_seq_len": 4096,
    "invert_sigmas": False,
    "shift_terminal": None,
    "time_shift_type": "exponential",
    "stochastic_sampling": False,
    "scale_factors": None,
    "upscale_mode": "bicubic",
    "prediction_type": "flow_prediction",
}

# What a scheduler takes where it is told nothing, as far as it differs from COMMON.
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "DDPMScheduler": {"clip_sample": True, "variance_type": "fixed_small", **LEADING},
    "DDIMScheduler": {"clip_sample": True, **LEADING},
    "DDIMInverseScheduler": {"clip_sample": True, **LEADING},
    "PNDMScheduler": {"set_alpha_to_one": False, "skip_prk_steps": False, **LEADING},
    "HeunDiscreteScheduler": STABLE,
    "KDPM2DiscreteScheduler": STABLE,
    "KDPM2AncestralDiscreteScheduler": STABLE,
    "DPMSolverSDEScheduler": STABLE,
    "DEISMultistepScheduler": {"final_sigmas_type": "sigma_min"},
    "SASolverScheduler": {"final_sigmas_type": "sigma_min"},
    "LCMScheduler": DISTILLED | {"timestep_scaling": 10.0},
    "TCDScheduler": DISTILLED | {"timestep_scaling": 10.0},
    "FlowMatchEulerDiscreteScheduler": FLOW,
    "FlowMatchHeunDiscreteScheduler": FLOW,
    "FlowMatchLCMScheduler": FLOW,
}


@dataclasses.dataclass(frozen=True)
class Config(Mapping[str, Any]):
    """The settings of a scheduler, given or by default."""

    case: Case

    def __getitem__(self, name: str) -> Any:
        given = self.case.kwargs["config"]
        if name in given:
            return given[name]
        own = DEFAULTS.get(self.case.family, {})
        return own[name] if name in own else COMMON[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**COMMON, **DEFAULTS.get(self.case.family, {}), **self.case.kwargs["config"]})

    def __len__(self) -> int:
        return len(list(iter(self)))


def given(case: Case, part: str, name: str, default: Any = None) -> Any:
    """A setting of `set_timesteps` or `step`, or its default."""
    return case.kwargs[part].get(name, default)


def steps_of(case: Case) -> int:
    """How many steps the scheduler was asked for."""
    for name in ("timesteps", "sigmas"):
        listed = given(case, "set_timesteps", name)
        if listed is not None:
            return len(listed)
    return int(given(case, "set_timesteps", "num_inference_steps"))


def betas(config: Mapping[str, Any]) -> np.ndarray:
    """The table of betas that a scheduler was built with."""
    if config["trained_betas"] is not None:
        return np.asarray(config["trained_betas"])
    count, start, end = (config[k] for k in ("num_train_timesteps", "beta_start", "beta_end"))
    kind = config["beta_schedule"]
    if kind == "linear":
        return np.linspace(start, end, count)
    if kind == "scaled_linear":
        return np.linspace(start**0.5, end**0.5, count) ** 2
    if kind == "sigmoid":
        return start + (end - start) / (1 + np.exp(-np.linspace(-6, 6, count)))
    if kind == "squaredcos_cap_v2":
        cosine = schedules.make(f"ddpm_cosine(steps={count})")
        alpha = np.asarray(cosine.level(jnp.arange(1, count + 1) / count).alpha)
        return 1 - (alpha / np.append(1, alpha[:-1])) ** 2
    raise KeyError(f"no betas are called {kind!r}")


def schedule(config: Mapping[str, Any]) -> Table:
    """The schedule through a scheduler's table, where label i has time (i + 1)/T."""
    table = Table.from_betas(jnp.asarray(betas(config)))
    if not config["rescale_betas_zero_snr"]:
        return table
    alpha = np.exp(np.asarray(table.log_alpha))
    alpha = (alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])
    with np.errstate(divide="ignore"):
        return Table(jnp.asarray(np.log(alpha)))


def levels(config: Mapping[str, Any]) -> Level:
    """The noise level at every label, (T,), in numpy."""
    log_alpha = np.asarray(schedule(config).log_alpha)
    return Level(np.exp(log_alpha), np.sqrt(-np.expm1(2 * log_alpha)))


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
    last, way = count - _clipped(config), 1 if inverse(case) else -1
    if spacing == "linspace":
        found = np.linspace(0, last - 1, steps + extra).round()[::way][:steps]
    elif spacing == "leading":
        step = last // (steps + extra)
        found = (np.arange(steps + extra) * step)[::way][:steps] + config["steps_offset"]
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
    alpha = np.where(level.alpha > 0, level.alpha, 2.0**-12)
    return np.sqrt(1 - alpha**2) / alpha if (level.alpha == 0).any() else level.sigma / alpha


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


def prediction(case: Case) -> Prediction:
    """What the network of a run predicts."""
    names = {"epsilon": "epsilon", "sample": "x0", "v_prediction": "v"}
    kind = Config(case)["prediction_type"]
    if kind == "flow_prediction":
        flow = schedules.make("rectified_flow")
        return predictions.make("velocity", schedule=flow)
    return predictions.make(names[kind])


ROWS = 512  # that inputs are padded to a multiple of, so that few shapes are compiled


@jax.jit
def _outputs(data: Problem, kind: Prediction, x: Array, level: Level) -> Array:
    # On clean data there is no noise to predict, and 0/0 would be in its place.
    noisy = Level(level.alpha, jnp.where(level.sigma > 0, level.sigma, 1))
    value = convert(data.denoise(x, noisy), x, noisy, predictions.make("x0"), kind)
    clean = kind.coefficients(level)[0][:, None] * x
    return jnp.where(level.sigma[:, None] > 0, value, clean)


def outputs(case: Case, kind: Prediction, factor: float = 1.0) -> Comparisons:
    """Our denoiser in the run's prediction beside all outputs of its network, and their number.

    Args:
        case: the recorded run.
        kind: what the network predicts.
        factor: which the reference's output is of ours.
    """
    x, recorded = case["eval_x"], case["eval_out"]
    rows = x.shape[0] * x.shape[1]
    missing = -rows % ROWS

    def flat(values: Any) -> Array:
        values = np.broadcast_to(values, x.shape[:2]).reshape(rows)
        return jnp.asarray(np.pad(values, (0, missing), mode="edge"))

    level = Level(flat(case["eval_alpha"][:, None]), flat(case["eval_sigma"][:, None]))
    inputs = jnp.asarray(np.pad(x.reshape(rows, -1), ((0, missing), (0, 0)), mode="edge"))
    found = factor * np.asarray(_outputs(problem(case.problem), kind, inputs, level))
    yield same("network's output", found[:rows].reshape(x.shape), recorded, rtol=1e-9, atol=1e-9)
    yield same("number of outputs", len(x), case.nfe)


def recorded_prediction(case: Case) -> Comparisons:
    """The network's outputs in the prediction that the scheduler was set to."""
    yield from outputs(case, prediction(case))
    if "prediction_type" in case.extra and not case.family.startswith("FlowMatch"):
        kinds = case.extra["prediction_type"], Config(case)["prediction_type"]
        yield same("prediction", len(set(kinds)), 1)
