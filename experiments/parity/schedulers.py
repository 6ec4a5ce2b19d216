"""Settings of the original's schedulers, drawn from a generator.

Not drawn is what this library refuses, of which tests/golden says why; what ends in no numbers in
the original (UniPC's bh1 onto clean data); last steps of no length (spacings that end on sigma_min
twice), which count as none here; levels between whole timesteps where steps have a middle (KDPM2's
and DPM-Solver's for the SDE on linspace), see docs/guide/released.md; and spacings after which
DPM-Solvers cut timesteps off to whole ones, so that 999 or 998 is the luck of rounding
(exponential, beta; Karras's for the cosine).
"""

import random
from collections.abc import Callable
from typing import Any

from experiments.parity.kind import maybe

Settings = dict[str, Any]
STEPS = (4, 5, 8)  # each divides 1000, as those need that go by whole labels
COSINE = "squaredcos_cap_v2"
BY_SIGMA = (
    *("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler"),
    *("LMSDiscreteScheduler", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler"),
    "DPMSolverSDEScheduler",
)
NOISY = ("scaled_linear", "linear", COSINE)


def _common(pick: random.Random) -> Settings:
    kind = pick.choice(NOISY)
    ends = {"linear": (1e-4, 0.02), "scaled_linear": (0.00085, 0.012)}.get(kind, (1e-4, 0.02))
    return {
        "beta_schedule": kind,
        "beta_start": ends[0],
        "beta_end": ends[1],
        "prediction_type": pick.choice(["epsilon", "v_prediction"]),
        "steps_offset": pick.choice([0, 1]),
        "timestep_spacing": pick.choice(["leading", "trailing", "linspace"]),
    }


def _by_label(pick: random.Random) -> Settings:
    found = _common(pick)
    if found["timestep_spacing"] == "linspace":
        found["timestep_spacing"] = "leading"
    if found["timestep_spacing"] == "trailing":
        found["steps_offset"] = 0
    return found


def _clipped(pick: random.Random) -> Settings:
    kind = pick.choice(["none", "clip", "dynamic"])
    clip = {"clip_sample": True, "clip_sample_range": pick.choice([1.0, 2.0])}
    dynamic = {"thresholding": True, "dynamic_thresholding_ratio": 0.9, "sample_max_value": 2.0}
    found: dict[str, Settings] = {"none": {"clip_sample": False}, "clip": clip, "dynamic": dynamic}
    return found[kind]


def _respaced(pick: random.Random) -> Settings:
    names = ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"]
    return {pick.choice(names): True} if maybe(pick) else {}


def _dpm_respaced(pick: random.Random, *others: str) -> Settings:
    found = _common(pick)
    if found["beta_schedule"] != COSINE and maybe(pick):
        found[pick.choice(["use_karras_sigmas", *others])] = True
    return found


def _ddim(pick: random.Random) -> Settings:
    # Where it is clipped, it has no last step without length, which is refused.
    found, one = _by_label(pick) | _clipped(pick), maybe(pick)
    found["set_alpha_to_one"] = one or found.get("clip_sample") is not False
    zero = found["prediction_type"] == "v_prediction" and maybe(pick)
    return found | {"rescale_betas_zero_snr": zero}


def _ddpm(pick: random.Random) -> Settings:
    return _by_label(pick) | _clipped(pick) | {"variance_type": "fixed_small"}


def _ddpm_large(pick: random.Random) -> Settings:
    # It leaves noise in what is drawn unless the last label is the first, which is refused.
    last = {"timestep_spacing": "leading", "steps_offset": 0}
    return _ddpm(pick) | last | {"variance_type": "fixed_large"}


def _pndm(pick: random.Random) -> Settings:
    one = maybe(pick)
    found = _by_label(pick) | {"skip_prk_steps": True, "set_alpha_to_one": one}
    return found | {"prediction_type": "epsilon"}


def _dpm(pick: random.Random) -> Settings:
    orders = {"solver_order": pick.choice([1, 2, 3]), "lower_order_final": maybe(pick)}
    kinds = {"solver_type": pick.choice(["midpoint", "heun"]), "euler_at_final": maybe(pick)}
    return _dpm_respaced(pick, "use_lu_lambdas") | orders | kinds


def _unipc(pick: random.Random) -> Settings:
    orders = {"solver_order": pick.choice([1, 2, 3]), "lower_order_final": maybe(pick)}
    found = _dpm_respaced(pick) | orders | {"solver_type": "bh2", "final_sigmas_type": "zero"}
    if not found.get("use_karras_sigmas") and maybe(pick):
        found |= {"solver_type": "bh1", "final_sigmas_type": "sigma_min"}
    return found


def _deis(pick: random.Random) -> Settings:
    orders = {"solver_order": pick.choice([1, 2, 3]), "lower_order_final": maybe(pick)}
    return _common(pick) | orders


def _by_sigma(pick: random.Random) -> Settings:
    return _common(pick) | _respaced(pick)


def _midway(pick: random.Random) -> Settings:
    found = _common(pick)
    whole = found["timestep_spacing"] != "linspace"
    names = ["use_exponential_sigmas", "use_beta_sigmas"]
    return found if whole and maybe(pick) else found | {pick.choice(names): True}


def _one_by_one(pick: random.Random) -> Settings:
    found = _dpm_respaced(pick)
    del found["steps_offset"], found["timestep_spacing"]  # of which it has none
    found["algorithm_type"] = pick.choice(["dpmsolver++", "dpmsolver", "sde-dpmsolver++"])
    if found["algorithm_type"] == "dpmsolver":
        found |= {"final_sigmas_type": "sigma_min", "use_karras_sigmas": False}
    orders = {"solver_order": pick.choice([1, 2, 3]), "lower_order_final": maybe(pick)}
    if found["algorithm_type"].startswith("sde"):
        orders["solver_order"] = pick.choice([1, 2])
    return found | orders | {"solver_type": pick.choice(["midpoint", "heun"])}


def _dpm_sde(pick: random.Random) -> Settings:
    found = _dpm(pick) | {"algorithm_type": "sde-dpmsolver++"}
    return found | {"solver_order": pick.choice([1, 2])}


def _sa_solver(pick: random.Random) -> Settings:
    orders = {"predictor_order": pick.choice([1, 2, 3]), "corrector_order": pick.choice([1, 2, 3])}
    last = {"lower_order_final": maybe(pick)}
    algorithm = pick.choice(["data_prediction", "noise_prediction"])
    return _common(pick) | orders | last | {"algorithm_type": algorithm}


def _edm(pick: random.Random) -> Settings:
    return {
        "sigma_min": pick.choice([0.002, 0.03]),
        "sigma_max": pick.choice([80.0, 15.0]),
        "sigma_data": pick.choice([0.5, 1.0, 0.8]),
        "sigma_schedule": pick.choice(["karras", "exponential"]),
        "prediction_type": pick.choice(["epsilon", "v_prediction"]),
        "rho": pick.choice([7.0, 4.0]),
    }


def _edm_dpm(pick: random.Random) -> Settings:
    orders = {"solver_order": pick.choice([1, 2, 3]), "lower_order_final": maybe(pick)}
    kinds = {"solver_type": pick.choice(["midpoint", "heun"]), "euler_at_final": maybe(pick)}
    return _edm(pick) | orders | kinds


def _distilled(pick: random.Random) -> Settings:
    found = _common(pick) | {"original_inference_steps": pick.choice([50, 40, 12])}
    return found | {"timestep_scaling": pick.choice([10.0, 3.0])}


def _consistency(pick: random.Random) -> Settings:
    return _distilled(pick) | _clipped(pick)


def _plain(pick: random.Random) -> Settings:
    return _common(pick)


def _flow(pick: random.Random) -> Settings:
    shift = pick.choice([1.0, 3.0, 1.7])
    return {"shift": shift} | _respaced(pick)


def _stochastic_flow(pick: random.Random) -> Settings:
    return _flow(pick) | {"stochastic_sampling": True}


def _dynamic(pick: random.Random) -> Settings:
    return {
        "use_dynamic_shifting": True,
        "base_shift": pick.choice([0.5, 0.3]),
        "max_shift": pick.choice([1.15, 0.9]),
        "base_image_seq_len": pick.choice([256, 4]),
        "max_image_seq_len": pick.choice([4096, 40]),
        "time_shift_type": pick.choice(["exponential", "linear"]),
        "shift_terminal": pick.choice([None, 0.02]),
    }


def _heun_flow(pick: random.Random) -> Settings:
    return {"shift": pick.choice([1.0, 3.0])}


def _solver_flow(pick: random.Random) -> Settings:
    return {
        "use_flow_sigmas": True,
        "flow_shift": pick.choice([1.0, 3.0]),
        "prediction_type": "flow_prediction",
        "solver_order": pick.choice([1, 2, 3]),
        "lower_order_final": True,
    }


def _dpm_flow_dynamic(pick: random.Random) -> Settings:
    return _solver_flow(pick) | {"use_dynamic_shifting": True}


DRAWN: dict[str, Callable[[random.Random], Settings]] = {
    "DDIMScheduler": _ddim,
    "DDPMScheduler": _ddpm,
    "DDPMScheduler.large": _ddpm_large,
    "PNDMScheduler": _pndm,
    "DPMSolverMultistepScheduler": _dpm,
    "UniPCMultistepScheduler": _unipc,
    "DEISMultistepScheduler": _deis,
    "DDIMParallelScheduler": _ddim,
    "DPMSolverMultistepScheduler.sde": _dpm_sde,
    "DPMSolverSinglestepScheduler": _one_by_one,
    "SASolverScheduler": _sa_solver,
    "EulerDiscreteScheduler": _by_sigma,
    "EulerAncestralDiscreteScheduler": _plain,
    "HeunDiscreteScheduler": _by_sigma,
    "LMSDiscreteScheduler": _by_sigma,
    "KDPM2DiscreteScheduler": _midway,
    "KDPM2AncestralDiscreteScheduler": _midway,
    "DPMSolverSDEScheduler": _midway,
    "EDMEulerScheduler": _edm,
    "EDMDPMSolverMultistepScheduler": _edm_dpm,
    "LCMScheduler": _consistency,
    "TCDScheduler": _distilled,
    "FlowMatchEulerDiscreteScheduler": _flow,
    "FlowMatchEulerDiscreteScheduler.dynamic": _dynamic,
    "FlowMatchEulerDiscreteScheduler.stochastic": _stochastic_flow,
    "FlowMatchLCMScheduler": _flow,
    "FlowMatchHeunDiscreteScheduler": _heun_flow,
    "DPMSolverMultistepScheduler.flow": _solver_flow,
    "DPMSolverMultistepScheduler.dynamic": _dpm_flow_dynamic,
    "UniPCMultistepScheduler.flow": _solver_flow,
}


def draw(name: str, pick: random.Random) -> Settings:
    """Settings of a scheduler of a class, by `_class_name` and by what its file would say.

    Args:
        name: of the class, with what comes after a dot where it is set up for flows.
        pick: the generator.
    """
    return {"_class_name": name.partition(".")[0], **DRAWN[name](pick)}


def lossy(settings: Settings) -> bool:
    """Whether the original may keep few of the digits of single precision.

    Schedulers that go by sigma/alpha take x_0 from x_0 + sigma eps by a difference, of which much
    noise leaves little; their timesteps between whole ones have six digits; and where noise is put
    back, how far the flow goes down is found from a difference of squares.
    """
    return settings.get("_class_name") in BY_SIGMA
