"""Every member of every family of mathematics, as specs for tests to run over.

A member is here by being registered. Members with settings worth testing have further specs, and
those that cannot be made without settings have specs in place of their bare name.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from diffusion_jax.process.predictions import predictions
from diffusion_jax.process.schedules import schedules
from diffusion_jax.process.time_samplers import time_samplers
from diffusion_jax.process.weightings import weightings
from diffusion_jax.registry import Registry
from diffusion_jax.sampling.grids import grids
from diffusion_jax.sampling.guidance import guidance
from diffusion_jax.sampling.inverse import posteriors
from diffusion_jax.sampling.solvers import solvers
from diffusion_jax.sampling.thresholds import thresholds


def specs(
    registry: Registry, instead: Mapping[str, Iterable[str]] = {}, extra: Iterable[str] = ()
) -> list[str]:
    """One spec or more per member of a registry."""
    return [spec for name in registry for spec in instead.get(name, (name,))] + list(extra)


SHIFTED = ("log_snr_shift(schedule=cosine, shift=-2.0)",)
# Schedules that cannot be made without settings, or would be another one.
NEED_SETTINGS = {
    "alphas_cumprod": (f"alphas_cumprod(values={tuple(0.97 ** (i + 1) for i in range(256))})",),
    "betas": (f"betas(values={tuple(round(1e-4 + 2e-5 * i, 6) for i in range(1000))})",),
    "interpolated_shift": ("interpolated_shift(schedule=cosine, clean=-1.0, noisy=-3.0)",),
    "learned_log_snr": ("learned_log_snr(units=16)",),
    "log_snr_table": ("log_snr_table(schedule=ddpm_linear)",),
    "noise_scaled": ("noise_scaled(schedule=rectified_flow, scale=2.0)",),
    "rescaled": ("rescaled(schedule=vp_linear, curve=exploding)",),
    "zero_terminal_snr": ("zero_terminal_snr(schedule=scaled_linear)",),
}
SCHEDULES = specs(
    schedules,
    instead=NEED_SETTINGS
    | {
        "log_snr_shift": (
            *SHIFTED,
            "log_snr_shift(schedule=sigmoid, shift=-3.0)",
            "log_snr_shift(schedule=ddpm_linear, shift=3.0)",
            "log_snr_shift(schedule=rectified_flow, shift=1.5)",
        )
    },
    extra=(
        "rectified_flow(shift=3.0)",
        "ddpm_linear(steps=50)",
        "sigmoid(start=0.0, end=3.0, tau=0.5)",
        "polynomial(power=1.0)",
        "trig_flow(scale=0.5)",
        "interpolated_shift(schedule=vp_linear, clean=1.0, noisy=-2.0)",
        "rescaled(schedule=edm, curve=preserving)",
        "rescaled(schedule=ddpm_cosine, curve=straight)",
        "zero_terminal_snr(schedule=vp_linear)",
    ),
)
PREDICTIONS = specs(predictions)
ONE_SCHEDULE_EACH = specs(schedules, instead=NEED_SETTINGS | {"log_snr_shift": SHIFTED})
TIMES = specs(
    time_samplers,
    extra=(
        "log_normal(mean=0.5, std=0.7)",
        "logit_normal(mean=0.5, std=1.3)",
        "split_log_normal(mode=-1.0, std_low=0.8, std_high=1.4)",
        "cosine_interpolated(size=128, noise_size_low=32)",
        "mode(scale=-0.5)",
        "beta(a=0.6, b=2.0)",
        "low_discrepancy(time_sampler=log_normal)",
    ),
)
WEIGHTINGS = specs(weightings)
GRIDS = specs(
    grids,
    instead={
        "until_noisy": ("until_noisy(grid=karras)",),
        "restart": ("restart(times=1)",),
        "noise_table": ("noise_table(sigmas=(20.0, 3.0, 0.5, 0.01))",),
    },
    extra=("leading(offset=1, extra=1)", "linspace(rounded=False)", "beta(along=noise)"),
)
# All but those that end on a noisy node.
CLEAN_GRIDS = [spec for spec in GRIDS if not spec.startswith("until_noisy")]
GUIDANCE = specs(
    guidance,
    extra=(
        "classifier_free(scale=3.0, sigma_low=0.1, sigma_high=5.0)",
        "rescaled(of=epsilon)",
        "rescaled(of=v)",
        "apg(eta=0.5, longest=0.3, momentum=0.0)",
        "apg(sigma_high=5.0)",
        "cfg_zero(zero_steps=0)",
    ),
)
THRESHOLDS = specs(thresholds)
SOLVERS = specs(
    solvers,
    extra=(
        "dpm_solver(order=3, variant=taylor)",
        "edm(order=1)",
        "edm(part=0.7, clock=vp_linear)",
        "lms(points=2, start=euler)",
        "reverse_diffusion(probability_flow=True)",
        "unipc(degree=4, variant=vary_coeff, last=full)",
        "unipc(degree=3, estimate=epsilon, uncorrected=(1, 2))",
        "unipc(degree=2, variant=bh1, corrector=False)",
        "deis(variable=rho)",
        "deis(variable=log_rho, degree=4)",
        "pndm(start=runge_kutta)",
        "sa_solver(predictor=3, corrector=4, tau=0.0)",
        "sa_solver(estimate=epsilon, rule=exact, tau=0.7)",
        "restart(solver=dpmpp_2m)",
        "runge_kutta(method=heun)",
    ),
)
POSTERIORS = specs(
    posteriors,
    instead={"repaint": ("repaint(length=2, resample=3)",)},
    extra=("diffpir(zeta=0.0)",),
)


def optimized(specs: Iterable[Any], *heavy: str) -> list[Any]:
    """Parameters for a test; those that start like one of `heavy` are compiled as for users."""
    mark = pytest.mark.optimized
    found = [(spec if isinstance(spec, tuple) else (spec,)) for spec in specs]
    return [pytest.param(*spec, marks=mark if spec[-1].startswith(heavy) else ()) for spec in found]
