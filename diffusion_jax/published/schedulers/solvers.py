"""Which of our solvers a diffusers scheduler is."""

from collections.abc import Callable, Mapping

from diffusion_jax.errors import UserError
from diffusion_jax.published.schedulers import sa_solver
from diffusion_jax.published.schedulers.latent_consistency import latent_consistency
from diffusion_jax.published.schedulers.settings import Settings
from diffusion_jax.sampling.solvers import Solver, solvers
from diffusion_jax.sampling.solvers.ddim import DDIM
from diffusion_jax.sampling.thresholds import Threshold, thresholds

CLIPPING = ("DDPMScheduler", "DDIMScheduler", "HeunDiscreteScheduler", "LCMScheduler")
FEW = 15  # steps below which the last ones are of lower order
# They take all other names for the first.
VARIANTS = {"midpoint": "midpoint", "heun": "taylor"}
ESTIMATES = {"dpmsolver": "epsilon", "dpmsolver++": "x0"}
NAMES = {"dpmsolver": "dpm_solver", "dpmsolver++": "dpmpp"}
ALGORITHMS = (*ESTIMATES, *(f"sde-{name}" for name in ESTIMATES))
VARIANCES = {
    "fixed_small": "small",
    "fixed_small_log": "small",
    "fixed_large": "large",
    "learned": "learned",
    "learned_range": "learned",
}


def _ddpm(settings: Settings, steps: int) -> str:
    kind = VARIANCES[settings.one_of("variance_type", VARIANCES)]
    return f"ancestral(variance={kind})"


def _multistep(settings: Settings, steps: int) -> str:
    algorithm, order = settings.one_of("algorithm_type", ALGORITHMS), settings["solver_order"]
    plain = algorithm.removeprefix("sde-")
    sde = "_sde" if algorithm != plain else ""
    if order == 1:
        if algorithm == "sde-dpmsolver":
            return "dpm_solver_2m_sde(degree=1)"
        return "ddim(eta=1.0)" if sde else "ddim"
    if order == 3 and sde:
        raise UserError(
            f"{settings.name}: algorithm_type={algorithm!r} with solver_order=3 cannot be "
            "honoured: its third-order term has the wrong sign there. Use solver_order=2."
        )
    last = "first" if settings["euler_at_final"] else "full"
    if settings["lower_order_final"] and steps < FEW:
        last = "falling"
    released = ", released=True" if order == 3 else ""
    return f"{NAMES[plain]}_{order}m{sde}(variant={_variant(settings)}, last={last}{released})"


def _single_step(settings: Settings, steps: int) -> str:
    algorithm, order = settings.one_of("algorithm_type", ALGORITHMS), settings["solver_order"]
    plain = algorithm.removeprefix("sde-")
    clean = settings["final_sigmas_type"] == "zero"
    lower = settings["lower_order_final"] or steps % order > 0
    # The step onto clean data is a group of its own in any case.
    last = "falling" if lower and not clean else "greedy"
    variant, eta = _variant(settings), 1.0 if algorithm != plain else 0.0
    return (
        f"dpm_solver_fast(size={order}, estimate={ESTIMATES[plain]}, variant={variant}, "
        f"inner={variant}, last={last}, eta={eta})"
    )


def _variant(settings: Settings) -> str:
    return VARIANTS.get(settings["solver_type"], "midpoint")


def _unipc(settings: Settings, steps: int) -> str:
    if settings["solver_p"] is not None:
        raise UserError(f"{settings.name}: solver_p, another scheduler, cannot be honoured.")
    variant = "bh1" if settings["solver_type"] == "bh1" else "bh2"
    estimate = "x0" if settings["predict_x0"] else "epsilon"
    last = "falling" if settings["lower_order_final"] else "full"
    without = tuple(settings["disable_corrector"])
    return (
        f"unipc(degree={settings['solver_order']}, variant={variant}, estimate={estimate}, "
        f"last={last}, uncorrected={without})"
    )


def _deis(settings: Settings, steps: int) -> str:
    lower = settings["lower_order_final"] and steps < FEW
    last = "falling" if lower else "full"
    return f"deis(degree={settings['solver_order']}, variable=log_rho, last={last})"


def _pndm(settings: Settings, steps: int) -> str:
    start = "improved_euler" if settings["skip_prk_steps"] else "runge_kutta"
    return f"pndm(start={start})"


SPECS: Mapping[str, Callable[[Settings, int], str]] = {
    "DDPMScheduler": _ddpm,
    "PNDMScheduler": _pndm,
    "LMSDiscreteScheduler": lambda settings, steps: "lms(points=4, start=euler, last=full)",
    "EulerDiscreteScheduler": lambda settings, steps: "edm(order=1)",
    "EDMEulerScheduler": lambda settings, steps: "edm(order=1)",
    "EulerAncestralDiscreteScheduler": lambda settings, steps: "euler_ancestral",
    "HeunDiscreteScheduler": lambda settings, steps: "edm",
    "KDPM2DiscreteScheduler": lambda settings, steps: "dpm_2",
    "KDPM2AncestralDiscreteScheduler": lambda settings, steps: "dpm_2_ancestral",
    "DPMSolverSDEScheduler": lambda settings, steps: "dpmpp_sde",
    "DPMSolverMultistepScheduler": _multistep,
    "EDMDPMSolverMultistepScheduler": _multistep,
    "DPMSolverSinglestepScheduler": _single_step,
    "UniPCMultistepScheduler": _unipc,
    "DEISMultistepScheduler": _deis,
    "FlowMatchEulerDiscreteScheduler": lambda settings, steps: (
        "consistency" if settings["stochastic_sampling"] else "euler"
    ),
    "FlowMatchHeunDiscreteScheduler": lambda settings, steps: "heun",
    "FlowMatchLCMScheduler": lambda settings, steps: "consistency",
    "SASolverScheduler": sa_solver.spec,
    # Pipelines ask for its eta of 0, which puts no noise back.
    "TCDScheduler": lambda settings, steps: "gamma_sampling(gamma=0.0)",
}


def threshold(settings: Settings) -> Threshold:
    """How a scheduler keeps estimates of x_0 within range."""
    if settings["thresholding"]:
        ratio, highest = settings["dynamic_thresholding_ratio"], settings["sample_max_value"]
        return thresholds.make(f"dynamic(ratio={float(ratio)}, highest={float(highest)})")
    if settings["clip_sample"] and settings.name in CLIPPING:
        return thresholds.make(f"clip(bound={float(settings['clip_sample_range'])})")
    return thresholds.make("none")


def solver(settings: Settings, steps: int) -> Solver:
    """The solver that takes the steps of a scheduler, as it does for so many of them.

    Raises:
        UserError: a setting that cannot be honoured.
    """
    if settings.name == "DDIMScheduler":  # which takes the noise from before the threshold
        return DDIM(threshold=threshold(settings))
    if settings.name == "LCMScheduler":
        return latent_consistency(settings, threshold(settings))
    return solvers.make(SPECS[settings.name](settings, steps))
