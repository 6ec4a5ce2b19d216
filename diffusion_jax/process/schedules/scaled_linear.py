"""Betas whose square roots, or logits, are evenly spaced."""

import jax.numpy as jnp
from jax.nn import sigmoid

from diffusion_jax.errors import UserError
from diffusion_jax.process.schedules.base import schedules
from diffusion_jax.process.schedules.table import Table


def _check(name: str, steps: int, beta_min: float, beta_max: float) -> None:
    if steps < 2 or not 0 < beta_min < beta_max < 1:
        raise UserError(
            f"schedule {name!r} needs 2 or more steps and 0 < beta_min < beta_max < 1, not "
            f"{steps}, {beta_min} and {beta_max}."
        )


@schedules.register(
    "scaled_linear",
    formula=(
        "√βᵢ = √beta_min + (√beta_max − √beta_min) (i − 1)/(N − 1), αᵢ² = ∏ⱼ≤ᵢ (1 − βⱼ) at t = i/N"
    ),
)
def scaled_linear(steps: int = 1000, beta_min: float = 0.00085, beta_max: float = 0.012) -> Table:
    """The table of latent diffusion: sqrt(beta) from sqrt(beta_min) to sqrt(beta_max) evenly.

    With beta_min = 1e-4 and beta_max = 0.02 it is the quadratic table of DDPM's code ("quad").

    Args:
        steps: number of entries.
        beta_min: the first beta.
        beta_max: the last beta.

    Raises:
        UserError: fewer than 2 steps, or betas that do not grow within (0, 1).

    Source: Rombach et al. 2022 (latent diffusion, Stable Diffusion), in their configuration.

    >>> round(float(scaled_linear().level(jnp.float32(1.0)).alpha), 4)
    0.0683
    """
    _check("scaled_linear", steps, beta_min, beta_max)
    return Table.from_betas(jnp.linspace(beta_min**0.5, beta_max**0.5, steps) ** 2)


@schedules.register(
    "sigmoid_beta",
    formula=(
        "βᵢ = beta_min + (beta_max − beta_min)/(1 + exp(−zᵢ)), zᵢ = −6 + 12 (i − 1)/(N − 1), αᵢ² = "
        "∏ⱼ≤ᵢ (1 − βⱼ) at t = i/N"
    ),
)
def sigmoid_beta(steps: int = 1000, beta_min: float = 1e-4, beta_max: float = 0.02) -> Table:
    """GeoDiff's table: beta = beta_min + (beta_max - beta_min) sigmoid(z), z from -6 to 6 evenly.

    The schedule `sigmoid` is another, in which alpha² follows the logistic curve.

    Args:
        steps: number of entries.
        beta_min: the least beta, up to the tail of the sigmoid.
        beta_max: the largest, likewise.

    Raises:
        UserError: fewer than 2 steps, or betas that do not grow within (0, 1).

    Source: Xu et al. 2022 (GeoDiff), appendix.

    >>> round(float(sigmoid_beta().level(jnp.float32(0.5)).alpha), 4)
    0.5495
    """
    _check("sigmoid_beta", steps, beta_min, beta_max)
    rise = sigmoid(jnp.linspace(-6, 6, steps))
    return Table.from_betas(beta_min + (beta_max - beta_min) * rise)
