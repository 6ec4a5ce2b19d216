"""Tables as they come with a published network."""

import itertools

import jax.numpy as jnp

from diffusion_jax.errors import UserError
from diffusion_jax.process.schedules.base import schedules
from diffusion_jax.process.schedules.table import Table


@schedules.register(
    "betas",
    formula="αᵢ² = ∏ⱼ≤ᵢ (1 − βⱼ) at t = i/N, log α linear in t between",
)
def betas(values: tuple[float, ...]) -> Table:
    """Any table of betas: alpha² = prod(1 - beta).

    Args:
        values: each within (0, 1), the one of least noise first.

    Raises:
        UserError: fewer than 2 values, or one outside of (0, 1).

    Source: Ho et al. 2020 (DDPM), eq. 4.

    >>> round(float(betas((0.1, 0.2)).level(jnp.float32(1.0)).alpha), 4)
    0.8485
    """
    if len(values) < 2 or not all(0 < value < 1 for value in values):
        raise UserError("schedule 'betas' needs 2 or more values, each within (0, 1).")
    return Table.from_betas(jnp.array(values, dtype=float))


@schedules.register(
    "alphas_cumprod",
    formula="αᵢ² = valuesᵢ at t = i/N, log α linear in t between",
)
def alphas_cumprod(values: tuple[float, ...]) -> Table:
    """Any table of alpha², which falls from entry to entry.

    Args:
        values: falling, each within (0, 1), the one of least noise first.

    Raises:
        UserError: fewer than 2 values, values that do not fall, or one outside of (0, 1).

    Source: Ho et al. 2020 (DDPM), eq. 4, whose alpha bar they are.

    >>> round(float(alphas_cumprod((0.81, 0.36)).level(jnp.float32(1.0)).alpha), 4)
    0.6
    """
    ends = (1.0, *values, 0.0)
    if len(values) < 2 or not all(a > b for a, b in itertools.pairwise(ends)):
        raise UserError(
            "schedule 'alphas_cumprod' needs 2 or more values that fall, each within (0, 1)."
        )
    return Table(jnp.log(jnp.array(values, dtype=float)) / 2)
