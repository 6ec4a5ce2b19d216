"""Which sigma of a flow (1 - sigma) x_0 + sigma eps a diffusers scheduler steps through."""

import math

import numpy as np
from jaxtyping import Float64

from diffusion_jax.errors import UserError
from diffusion_jax.published.schedulers.settings import Settings
from diffusion_jax.published.schedulers.spacing import respacing, spaced
from diffusion_jax.published.schedulers.table import ratios


def shift_of(settings: Settings, field: str, tokens: int | None) -> float:
    """The factor of a flow's shift, which is fixed or grows with the size of pictures.

    With m tokens the exponent is mu = base_shift + (max_shift - base_shift) (m - base)/(max -
    base), and the factor exp(mu), or mu where the kind is "linear".

    Args:
        settings: of the scheduler.
        field: of a fixed shift.
        tokens: patches of a picture, where the shift grows with it.

    Raises:
        UserError: it does, and no number of tokens is given.

    Source: Esser et al. 2024 (SD3), section 5.3.2; Black Forest Labs 2024 (FLUX.1).
    """
    if not settings["use_dynamic_shifting"]:
        return float(settings[field])
    if tokens is None:
        raise UserError(
            f"{settings.name}: use_dynamic_shifting depends on the size of pictures: say how many "
            "tokens they have."
        )
    low, high = settings["base_shift"], settings["max_shift"]
    first, last = settings["base_image_seq_len"], settings["max_image_seq_len"]
    mu = low + (high - low) * (tokens - first) / (last - first)
    kind = settings.one_of("time_shift_type", ("exponential", "linear"))
    return math.exp(mu) if kind == "exponential" else mu


def shifted(
    settings: Settings, time: Float64[np.ndarray, "nodes"], shift: float
) -> Float64[np.ndarray, "nodes"]:
    """s t/(1 + (s - 1) t), with its end stretched until the last sigma is `shift_terminal`."""
    sigma = shift * time / (1 + (shift - 1) * time)
    end = settings["shift_terminal"]
    return 1 - (1 - sigma) / (1 - sigma[-1]) * (1 - end) if end else sigma


def flow_match_grid(
    settings: Settings, steps: int, tokens: int | None = None, even: bool = False
) -> Float64[np.ndarray, "nodes"]:
    """sigma at every node of a FlowMatch scheduler, (steps + 1,).

    A fixed shift is applied twice at the least noise: times are laid out down to the sigma of the
    last step in training, which is shifted already. It is what released models are drawn with.

    Args:
        settings: of the scheduler.
        steps: how many.
        tokens: patches of a picture, for a shift that grows with it.
        even: times are 1, 1 - 1/steps, …, 1/steps, as FLUX's pipelines hand them over.
    """
    shift = shift_of(settings, "shift", tokens)
    last = 1 / settings.count
    if not settings["use_dynamic_shifting"]:
        last = shift * last / (1 + (shift - 1) * last)
    time = np.linspace(1.0, 1 / steps if even else last, steps)
    sigma = shifted(settings, time, shift)
    spacing = respacing(settings)
    if spacing is not None:
        sigma = spaced(spacing, sigma[-1], sigma[0], steps)
    return np.append(sigma, 0.0)


def flow_grid(
    settings: Settings, steps: int, tokens: int | None = None, even: bool = False
) -> Float64[np.ndarray, "nodes"]:
    """sigma at every node of a solver of the DPM family with `use_flow_sigmas`, (steps + 1,).

    Args:
        settings: of the scheduler.
        steps: how many.
        tokens: patches of a picture, for a shift that grows with it.
        even: its pipeline is FLUX's, the only one that tells such a solver how far to shift.

    Raises:
        UserError: its shift grows with the picture, in another pipeline; or its sigmas are also
            respaced: the scheduler then takes sigma/alpha for the sigma of a flow, where none is
            above 1.
    """
    if settings["use_dynamic_shifting"] and not even:
        raise UserError(
            f"{settings.name}: use_dynamic_shifting cannot be honoured outside of FLUX's pipeline: "
            "its file does not say how far to shift."
        )
    if respacing(settings) is not None:
        raise UserError(
            f"{settings.name}: use_flow_sigmas cannot be honoured beside another spacing, which "
            "would take sigma/alpha for the sigma of a flow."
        )
    last, shift = 1 / settings.count, shift_of(settings, "flow_shift", tokens)
    if settings.name.startswith("UniPC"):
        sigma = shifted(settings, np.linspace(1, last, steps + 1)[:-1], shift)
        sigma = np.minimum(sigma, 1 - 1e-6)
    else:
        sigma = shifted(settings, np.linspace(1 - last, 0, steps + 1)[:-1], shift)
    # DPM-Solvers end at the least sigma/alpha of a table even so.
    least = ratios(settings)[0] if settings.name.startswith("DPM") else sigma[-1]
    ends = settings.one_of("final_sigmas_type", ("zero", "sigma_min"))
    return np.append(sigma, least if ends == "sigma_min" else 0.0)
