"""The table of noise levels that a diffusers scheduler is built with."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from diffusion_jax.errors import UserError
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.process.schedules.scaled_linear import scaled_linear, sigmoid_beta
from diffusion_jax.process.schedules.table import Table, ddpm_cosine, ddpm_linear
from diffusion_jax.process.schedules.zero_terminal_snr import ZeroTerminalSnr
from diffusion_jax.published.schedulers.settings import Settings

KINDS = ("linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid", "exp")
BLIND = 2.0**-12  # what alpha counts as where the table ends without signal


def schedule(settings: Settings) -> Schedule:
    """The schedule through a scheduler's table, where label i of T has time (i + 1)/T.

    Raises:
        UserError: a table of a kind that is not known.
    """
    made = _table(settings)
    return ZeroTerminalSnr(made) if settings["rescale_betas_zero_snr"] else made


def _table(settings: Settings) -> Table:
    if (betas := settings["trained_betas"]) is not None:
        if len(betas) != settings.count:
            raise UserError(
                f"{settings.name}: trained_betas are {len(betas)} numbers, and "
                f"num_train_timesteps is {settings.count}."
            )
        return Table.from_betas(jnp.asarray(betas))
    count, start, end = settings.count, settings["beta_start"], settings["beta_end"]
    kind = settings.one_of("beta_schedule", KINDS)
    if kind == "squaredcos_cap_v2":
        return ddpm_cosine(count)
    if kind == "linear":  # ours is scaled by 1000/steps
        return ddpm_linear(count, start * count / 1000, end * count / 1000)
    if kind == "exp":  # alpha² = exp(-12 t)
        return Table(jnp.asarray(-6 * np.arange(1, count + 1) / count))
    return {"scaled_linear": scaled_linear, "sigmoid": sigmoid_beta}[kind](count, start, end)


def levels(settings: Settings) -> tuple[Float64[np.ndarray, "T"], Float64[np.ndarray, "T"]]:
    """alpha and sigma at every label, in double precision."""
    with jax.enable_x64(True):
        whole = schedule(settings)
        time = jnp.arange(1, settings.count + 1) / settings.count
        level: Level = whole.level(time)
        return np.asarray(level.alpha, np.float64), np.asarray(level.sigma, np.float64)


def ratios(settings: Settings) -> Float64[np.ndarray, "T"]:
    """sigma/alpha at every label; where the table ends without signal, alpha counts as 2^-12."""
    alpha, sigma = levels(settings)
    blind = alpha == 0
    alpha = np.where(blind, BLIND, alpha)
    return np.sqrt(1 - alpha**2) / alpha if blind.any() else sigma / alpha


def check_signal(settings: Settings) -> None:
    """Refuses a table that ends without signal beside a network that predicts the noise.

    Raises:
        UserError: it is so: nothing tells x_0 there.
    """
    if settings["rescale_betas_zero_snr"] and settings["prediction_type"] == "epsilon":
        raise UserError(
            f"{settings.name}: rescale_betas_zero_snr with prediction_type='epsilon' starts where "
            "the network's noise says nothing of the data; it needs 'v_prediction'."
        )
