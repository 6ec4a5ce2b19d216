"""Draws of a batch that depend on each other, so that their mean varies less."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.process.schedules import Schedule
from diffusion_jax.process.time_samplers.base import TimeSampler, time_samplers
from diffusion_jax.process.time_samplers.loss_aware import outermost
from diffusion_jax.process.time_samplers.uniform import Uniform
from diffusion_jax.struct import pytree


@pytree
class Stratified(TimeSampler):
    """Another distribution, of which the draws of a batch depend on each other.

    Attributes:
        time_sampler: the distribution.
    """

    time_sampler: TimeSampler = Uniform()

    def __post_init__(self) -> None:
        outermost(self.time_sampler)

    def time(self, u: Float[Array, "*shape"], schedule: Schedule) -> Float[Array, "*shape"]:
        return self.time_sampler.time(u, schedule)


@time_samplers.register("low_discrepancy")
@pytree
class LowDiscrepancy(Stratified):
    """Another distribution, drawn so that each batch covers it evenly.

    u_i = (u_0 + i/batch) mod 1: each draw alone is uniform still; their mean varies less.

    Attributes:
        time_sampler: the distribution.

    Source: Kingma et al. 2021 (VDM), appendix I.1.

    >>> [round(float(u), 2) for u in LowDiscrepancy().stratify(jnp.array([0.7, 0.1]))]
    [0.7, 0.2]
    """

    formula: ClassVar[str] = "uᵢ = (u₀ + i/B) mod 1, i = 0 … B − 1, in a batch of B"

    def stratify(self, u: Float[Array, "batch"]) -> Float[Array, "batch"]:
        count = u.shape[0]
        spread = (u[0] + jnp.arange(count, dtype=u.dtype) / count) % 1
        # Rounding may reach 0 or 1, where the quantile of a normal distribution is infinite.
        smallest = jnp.finfo(u.dtype).epsneg
        return jnp.clip(spread, smallest, 1 - smallest)


@time_samplers.register("antithetic")
@pytree
class Antithetic(Stratified):
    """Another distribution, drawn in pairs of opposite quantiles, u and 1 - u.

    The second half of a batch mirrors the first; of an odd batch, the middle one is drawn alone.

    Attributes:
        time_sampler: the distribution.

    Source: Hammersley & Morton 1956 (antithetic variates), as used with DDPM's labels.

    >>> [round(float(u), 2) for u in Antithetic().stratify(jnp.array([0.7, 0.1]))]
    [0.7, 0.3]
    """

    formula: ClassVar[str] = "uᵢ = 1 − uⱼ, i = j + ⌈B/2⌉, in a batch of B"

    def stratify(self, u: Float[Array, "batch"]) -> Float[Array, "batch"]:
        pairs = u.shape[0] // 2
        # u is at least 2^-24, so that 1 - u is less than 1.
        return jnp.concatenate([u[: u.shape[0] - pairs], 1 - u[:pairs]])
