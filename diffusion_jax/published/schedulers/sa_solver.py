"""diffusers' SASolverScheduler, which puts noise back between the labels 200 and 800 alone."""

from diffusion_jax.errors import UserError
from diffusion_jax.published.schedulers.settings import Settings
from diffusion_jax.published.schedulers.spacing import labels, noise_grid, respacing

FIRST, LAST = 200, 800
ESTIMATES = {"data_prediction": "x0", "noise_prediction": "epsilon"}
# A line through two values is integrated approximately for x_0 only.
RULES = {"x0": "h", "epsilon": "exact"}
NEAR = 1e-6  # relative, by which the levels of those labels are widened against rounding


def spec(settings: Settings, steps: int) -> str:
    """Our solver's.

    Raises:
        UserError: another spacing, after which its last step has no length.
    """
    if respacing(settings) is not None:
        raise UserError(
            f"{settings.name}: another spacing cannot be honoured: its last step has no length. "
            "DPMSolverMultistepScheduler with algorithm_type='sde-dpmsolver++' has them."
        )
    estimate = ESTIMATES[settings.one_of("algorithm_type", ESTIMATES)]
    at, ratio = labels(settings, steps, extra=1), noise_grid(settings, steps)[:-1]
    noisy = ratio[(at >= FIRST) & (at <= LAST)]
    tau = "tau=0.0"
    if len(noisy):
        low, high = float(noisy.min()) * (1 - NEAR), float(noisy.max()) * (1 + NEAR)
        tau = f"tau=1.0, s_tmin={low!r}, s_tmax={high!r}"
    last = "falling" if settings["lower_order_final"] else "full"
    return (
        f"sa_solver(predictor={settings['predictor_order']}, "
        f"corrector={settings['corrector_order']}, {tau}, estimate={estimate}, "
        f"rule={RULES[estimate]}, last={last})"
    )
