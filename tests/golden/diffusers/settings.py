"""The settings of diffusers' schedulers, given or by default."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tests.golden.load import Case

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
    "use_dynamic_shifting": False,
    "time_shift_type": "exponential",
    "shift_terminal": None,
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


# Settings that mean nothing unless another is so.
IDLE: Mapping[str, tuple[str, Any]] = {
    "clip_sample_range": ("clip_sample", True),
    "dynamic_thresholding_ratio": ("thresholding", True),
    "sample_max_value": ("thresholding", True),
    "flow_shift": ("use_flow_sigmas", True),
    "use_dynamic_shifting": ("use_flow_sigmas", True),
    "time_shift_type": ("use_dynamic_shifting", True),
    "shift_terminal": ("use_flow_sigmas", True),
    "steps_offset": ("timestep_spacing", "leading"),
    "beta_schedule": ("trained_betas", None),
    "beta_start": ("trained_betas", None),
    "beta_end": ("trained_betas", None),
    "shift": ("use_dynamic_shifting", False),
}
# Those that only a pipeline looks at, to find the `mu` of a size of picture.
PIPELINES = ("base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len")


def pass_over(case: Case) -> None:
    """Counts as looked at what a scheduler was told but others of its settings make idle."""
    config = Config(case)
    for name in set(case.kwargs["config"]):
        if name in PIPELINES:
            config[name]
        elif name in IDLE:
            switch, on = IDLE[name]
            if config[switch] != on:
                config[name]


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
