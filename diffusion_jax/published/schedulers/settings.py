"""The settings of diffusers' schedulers: what each takes, by default and at all.

Facts of the package diffusers 0.42.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from types import NoneType
from typing import Any

import numpy as np

from diffusion_jax.errors import UserError, nearest, one_of, shown
from diffusion_jax.hints import fits, named
from diffusion_jax.published.schedulers.refused import REASONS

SHIFT = {
    "base_shift": 0.5,
    "max_shift": 1.15,
    "base_image_seq_len": 256,
    "max_image_seq_len": 4096,
}
COMMON: Mapping[str, Any] = {
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
    "use_dynamic_shifting": False,
    "time_shift_type": "exponential",
    **SHIFT,
    "shift_terminal": None,
    "final_sigmas_type": "zero",
    "interpolation_type": "linear",
    "timestep_type": "discrete",
    "sigma_min": None,
    "sigma_max": None,
    "lambda_min_clipped": -np.inf,
    "variance_type": None,
    "solver_order": 2,
    "lower_order_final": True,
    "euler_at_final": False,
}
LEADING = {"timestep_spacing": "leading"}
STABLE = {"beta_start": 0.00085, "beta_end": 0.012}
DISTILLED = STABLE | LEADING | {"beta_schedule": "scaled_linear", "original_inference_steps": 50}
FLOW = {
    "shift": 1.0,
    **SHIFT,
    "invert_sigmas": False,
    "stochastic_sampling": False,
    "prediction_type": "flow_prediction",
}
ON_EDM = {
    "sigma_min": 0.002,
    "sigma_max": 80.0,
    "sigma_data": 0.5,
    "sigma_schedule": "karras",
    "rho": 7.0,
}
DPM = {"algorithm_type": "dpmsolver++", "solver_type": "midpoint"}

# What a scheduler takes where it is told nothing, as far as it differs from COMMON.
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "DDPMScheduler": {"clip_sample": True, "variance_type": "fixed_small", **LEADING},
    "DDIMScheduler": {"clip_sample": True, **LEADING},
    "DDIMInverseScheduler": {"clip_sample": True, **LEADING},
    "PNDMScheduler": {"set_alpha_to_one": False, "skip_prk_steps": False, **LEADING},
    "LMSDiscreteScheduler": {},
    "EulerDiscreteScheduler": {},
    "EulerAncestralDiscreteScheduler": {},
    "HeunDiscreteScheduler": STABLE,
    "KDPM2DiscreteScheduler": STABLE,
    "KDPM2AncestralDiscreteScheduler": STABLE,
    "DPMSolverSDEScheduler": STABLE,
    "DPMSolverMultistepScheduler": DPM,
    "DPMSolverSinglestepScheduler": DPM | {"lower_order_final": False},
    "UniPCMultistepScheduler": {
        "solver_type": "bh2",
        "predict_x0": True,
        "disable_corrector": (),
        "solver_p": None,
    },
    "DEISMultistepScheduler": {
        "final_sigmas_type": "sigma_min",
        "algorithm_type": "deis",
        "solver_type": "logrho",
    },
    "SASolverScheduler": {
        "final_sigmas_type": "sigma_min",
        "algorithm_type": "data_prediction",
        "predictor_order": 2,
        "corrector_order": 2,
        "tau_func": None,
    },
    "EDMEulerScheduler": ON_EDM,
    "EDMDPMSolverMultistepScheduler": DPM | ON_EDM,
    "LCMScheduler": DISTILLED | {"timestep_scaling": 10.0},
    "TCDScheduler": DISTILLED | {"timestep_scaling": 10.0},
    "FlowMatchEulerDiscreteScheduler": FLOW,
    "FlowMatchHeunDiscreteScheduler": FLOW,
    "FlowMatchLCMScheduler": FLOW | {"upscale_mode": "bicubic"},
}

TABLE = (
    *("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas"),
    "prediction_type",
)
LABELS = ("timestep_spacing", "steps_offset")
ZERO_SNR = ("rescale_betas_zero_snr",)
RANGE = ("clip_sample", "clip_sample_range")
DYNAMIC = ("thresholding", "dynamic_thresholding_ratio", "sample_max_value")
RESPACED = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")
FLOWING = ("use_flow_sigmas", "flow_shift", "use_dynamic_shifting", "time_shift_type")
INTEGER = TABLE + LABELS + ZERO_SNR + RANGE + DYNAMIC
SIGMAS = TABLE + LABELS + RESPACED
SOLVER = ("solver_order", "solver_type", "lower_order_final", *DYNAMIC, *RESPACED, *FLOWING)
DPM_SOLVER = ("algorithm_type", "lambda_min_clipped", "variance_type", "final_sigmas_type", *SOLVER)
FLOW_MATCH = (
    *("num_train_timesteps", "shift", "invert_sigmas", "shift_terminal", "use_dynamic_shifting"),
    *("time_shift_type", *SHIFT, *RESPACED),
)
EDM_SCHEDULER = (*ON_EDM, "num_train_timesteps", "prediction_type", "final_sigmas_type")

# What each scheduler is told. Those that are not here cannot be honoured.
TAKEN: Mapping[str, tuple[str, ...]] = {
    "DDPMScheduler": (*INTEGER, "variance_type"),
    "DDIMScheduler": (*INTEGER, "set_alpha_to_one"),
    "PNDMScheduler": (*TABLE, *LABELS, "set_alpha_to_one", "skip_prk_steps"),
    "LMSDiscreteScheduler": SIGMAS,
    "EulerDiscreteScheduler": (
        *(*SIGMAS, *ZERO_SNR, "interpolation_type", "sigma_min", "sigma_max"),
        *("timestep_type", "final_sigmas_type"),
    ),
    "EulerAncestralDiscreteScheduler": TABLE + LABELS + ZERO_SNR,
    "HeunDiscreteScheduler": (*SIGMAS, *RANGE),
    "KDPM2DiscreteScheduler": SIGMAS,
    "KDPM2AncestralDiscreteScheduler": SIGMAS,
    "DPMSolverMultistepScheduler": (
        *(*TABLE, *LABELS, *ZERO_SNR, *DPM_SOLVER, "use_lu_lambdas", "euler_at_final"),
    ),
    "DPMSolverSinglestepScheduler": TABLE + DPM_SOLVER,
    "UniPCMultistepScheduler": (
        *(*TABLE, *LABELS, *ZERO_SNR, *SOLVER, "predict_x0", "disable_corrector", "solver_p"),
        *("final_sigmas_type", "sigma_min", "sigma_max", "shift_terminal"),
    ),
    "DEISMultistepScheduler": (*TABLE, *LABELS, *SOLVER, "algorithm_type"),
    "SASolverScheduler": (
        *(*SIGMAS, *DYNAMIC, "algorithm_type", "predictor_order", "corrector_order"),
        *("lower_order_final", "lambda_min_clipped", "variance_type"),
    ),
    "DPMSolverSDEScheduler": SIGMAS,
    "EDMEulerScheduler": EDM_SCHEDULER,
    "EDMDPMSolverMultistepScheduler": (
        *(*EDM_SCHEDULER, *DYNAMIC, "solver_order", "algorithm_type", "solver_type"),
        *("lower_order_final", "euler_at_final"),
    ),
    "LCMScheduler": (*INTEGER, "set_alpha_to_one", "original_inference_steps", "timestep_scaling"),
    "TCDScheduler": (*TABLE, *LABELS, *ZERO_SNR, "original_inference_steps", "timestep_scaling"),
    "FlowMatchLCMScheduler": (*FLOW_MATCH, "upscale_mode"),
    "FlowMatchEulerDiscreteScheduler": (*FLOW_MATCH, "stochastic_sampling"),
    "FlowMatchHeunDiscreteScheduler": ("num_train_timesteps", "shift"),
}
# Those that do the same to many steps at once.
PARALLEL = {"DDPMParallelScheduler": "DDPMScheduler", "DDIMParallelScheduler": "DDIMScheduler"}
# What old files still say of schedulers, and nobody reads.
FORMER = ("skip_prk_steps", "set_alpha_to_one", "clip_sample")


@dataclasses.dataclass(frozen=True)
class Settings(Mapping[str, Any]):
    """The settings of a scheduler, given or by default.

    Attributes:
        name: of the scheduler's class.
        given: what its file says.
    """

    name: str
    given: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        if name in self.given:
            return self.given[name]
        own = DEFAULTS.get(self.name, {})
        return own[name] if name in own else COMMON[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**COMMON, **DEFAULTS.get(self.name, {}), **self.given})

    def __len__(self) -> int:
        return len(list(iter(self)))

    @property
    def count(self) -> int:
        """T, the number of times that the network was trained on."""
        return int(self["num_train_timesteps"])

    def one_of(self, name: str, known: Iterable[Any]) -> Any:
        """A setting that has one of a few values.

        Raises:
            UserError: it has another.
        """
        value = self[name]
        if value not in tuple(known):
            listed = ", ".join(repr(each) for each in known)
            raise UserError(
                f"{self.name}: {name}={value!r} cannot be honoured; it may be {listed}."
            )
        return value


def read(config: Mapping[str, Any]) -> Settings:
    """The settings of a scheduler_config.json.

    Args:
        config: as the file has it, with `_class_name`.

    Raises:
        UserError: a scheduler that is not known, or a setting that it does not take here.
    """
    name = config.get("_class_name")
    if not isinstance(name, str):
        raise UserError("The scheduler's config names no class: it needs _class_name.")
    if name in REASONS:
        raise UserError(f"{name} cannot be honoured: {REASONS[name]}.")
    name = one_of(PARALLEL.get(name, name), TAKEN, "scheduler")
    given = {key: value for key, value in config.items() if not key.startswith("_")}
    settings, plain = Settings(name, given), Settings(name, {})
    known = TAKEN[name]
    for key, value in given.items():
        if key in known:
            _check_type(name, key, value, plain.get(key))
            continue
        if _is_default(name, key, value):
            continue
        raise UserError(
            f"{name}: the setting {key}={value!r} cannot be honoured.{nearest(key, known)}"
        )
    return settings


# Types of settings that are nothing by default.
OPTIONAL: Mapping[str, Any] = {
    "trained_betas": tuple[float, ...] | None,
    "variance_type": str | None,
    **dict.fromkeys(("shift_terminal", "sigma_min", "sigma_max"), float | None),
}


def _check_type(name: str, key: str, value: Any, default: Any) -> None:
    """Raises UserError for a setting of another type than what it is by default."""
    special = {NoneType: Any, tuple: tuple[int, ...], bool: bool | None}
    hint = OPTIONAL.get(key, special.get(type(default), type(default)))
    given = tuple(value) if isinstance(value, list) else value
    if not fits(given, hint):
        raise UserError(f"{name}: {key} must be {named(hint)}, not {shown(value)}.")


def _is_default(name: str, key: str, value: Any) -> bool:
    """Whether a setting that is not taken says only what is so in any case."""
    if key in FORMER:
        return True
    plain = Settings(name, {})
    return value is None or (key in plain and plain[key] == value)
