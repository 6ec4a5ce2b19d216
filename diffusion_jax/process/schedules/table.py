"""Schedules given as a table of betas, made continuous between its entries."""

import jax.numpy as jnp
from jax.nn import log_sigmoid
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules.base import schedules
from diffusion_jax.struct import pytree


@pytree
class Table:
    """A variance-preserving schedule through the points of a discrete one.

    Entry i (counted from 0, least noise first) of N has time t = (i + 1)/N. Between entries, and
    beyond the last, log alpha is linear in t. Its slope jumps at each entry, so that solvers which
    step in t (`euler`, `heun`) are exact only to about 1/(10 N); those in log-SNR do not mind.

    Attributes:
        log_alpha: log alpha of each entry, decreasing, shape (N,).

    Source: Lu et al. 2022 (DPM-Solver), section 3.4 and appendix D.4, for the interpolation.

    >>> round(float(Table.from_betas(jnp.array([0.1, 0.2])).level(jnp.float32(1.0)).alpha), 4)
    0.8485
    """

    log_alpha: Float[Array, "entries"]

    @staticmethod
    def from_betas(betas: Float[Array, "entries"]) -> "Table":
        """The table with alpha² = prod(1 - beta), Ho et al. 2020 (DDPM), eq. 4."""
        return Table(jnp.cumsum(jnp.log1p(-betas)) / 2)

    @property
    def _times(self) -> Float[Array, "entries"]:
        count = self.log_alpha.shape[0]
        return jnp.arange(1, count + 1, dtype=self.log_alpha.dtype) / count

    @property
    def t_min(self) -> float:
        return 1 / self.log_alpha.shape[0]

    t_max = 1.0

    def level(self, time: Float[Array, "..."]) -> Level:
        log_alpha = jnp.interp(
            time, self._times, self.log_alpha, left="extrapolate", right="extrapolate"
        )
        return Level(jnp.exp(log_alpha), jnp.sqrt(-jnp.expm1(2 * log_alpha)))

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        log_alpha = log_sigmoid(log_snr) / 2
        return jnp.interp(
            -log_alpha, -self.log_alpha, self._times, left="extrapolate", right="extrapolate"
        )


@schedules.register(
    "ddpm_linear",
    formula=(
        "βᵢ = 1000/N (beta_min + (beta_max − beta_min) (i − 1)/(N − 1)), αᵢ² = ∏ⱼ≤ᵢ (1 − βⱼ) at t "
        "= i/N"
    ),
)
def ddpm_linear(steps: int = 1000, beta_min: float = 1e-4, beta_max: float = 0.02) -> Table:
    """DDPM's table: beta from 1e-4 to 0.02 in 1000 equal steps, scaled by 1000/steps for others.

    Args:
        steps: number of entries.
        beta_min: the first beta, at 1000 steps.
        beta_max: the last beta, at 1000 steps.

    Raises:
        UserError: a beta that would leave (0, 1), as the largest does for 20 steps or fewer.

    Source: Ho et al. 2020 (DDPM), section 4; Nichol & Dhariwal 2021 for the scaling.

    >>> round(float(ddpm_linear().level(jnp.float32(1.0)).alpha), 5)
    0.00635
    """
    if steps < 2 or not 0 < beta_min < beta_max or not beta_max * 1000 / steps < 1:
        raise UserError(
            f"schedule 'ddpm_linear' needs 0 < beta_min < beta_max and more than "
            f"{max(1, 1000 * beta_max):.0f} steps, not {beta_min}, {beta_max} and {steps}."
        )
    return Table.from_betas(jnp.linspace(beta_min, beta_max, steps) * 1000 / steps)


@schedules.register(
    "ddpm_cosine",
    formula=(
        "βᵢ = min(1 − f(i/N)/f((i − 1)/N), largest_beta), f(t) = cos²(π/2 (t + offset)/(1 + "
        "offset)), αᵢ² = ∏ⱼ≤ᵢ (1 − βⱼ) at t = i/N"
    ),
)
def ddpm_cosine(steps: int = 1000, offset: float = 0.008, largest_beta: float = 0.999) -> Table:
    """Improved DDPM's table: alpha² = f(t)/f(0), f(t) = cos²(pi/2 (t + offset)/(1 + offset)).

    Args:
        steps: number of entries.
        offset: keeps the first betas from being too small to matter.
        largest_beta: betas are clipped to it, so that the last entry keeps some signal.

    Raises:
        UserError: fewer than 2 steps, a negative offset, or a largest beta outside (0, 1).

    Source: Nichol & Dhariwal 2021 (improved DDPM), eq. 17.

    >>> round(float(ddpm_cosine().level(jnp.float32(0.5)).alpha), 3)
    0.703
    """
    if steps < 2 or not 0 <= offset < 1 or not 0 < largest_beta < 1:
        raise UserError(
            "schedule 'ddpm_cosine' needs 2 or more steps, an offset in [0, 1), and a largest_beta "
            f"in (0, 1), not {steps}, {offset} and {largest_beta}."
        )
    angle = (jnp.linspace(0, 1, steps + 1) + offset) / (1 + offset) * jnp.pi / 2
    before, after = angle[:-1], angle[1:]
    # beta = 1 - cos²(after)/cos²(before), without taking nearly equal numbers from each other.
    width = jnp.pi / 2 / (1 + offset) / steps
    betas = jnp.sin(width) * jnp.sin(before + after) / jnp.cos(before) ** 2
    return Table.from_betas(jnp.minimum(betas, largest_beta))
