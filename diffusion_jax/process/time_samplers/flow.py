"""Densities of time made for straight paths: SD3's, and beta distributions."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import positive, within
from diffusion_jax.process.beta import beta_quantile
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.process.time_samplers.base import TimeSampler, at_share, time_samplers
from diffusion_jax.struct import Scalar, pytree

# Beyond it the quantile function of "mode" would turn back.
LARGEST_SCALE = 2 / (jnp.pi - 2)


@time_samplers.register("mode")
@pytree
class Mode(TimeSampler):
    """Heavy-tailed around the middle of time: t = u - scale (sin²(pi u/2) - u).

    t is relative, from 0 (clean) to 1; both ends keep a positive density.

    Attributes:
        scale: more than 0 prefers the middle, less the ends; from -1 to 2/(pi - 2).

    Source: Esser et al. 2024 (SD3), eq. 20, at 1 - u.

    >>> from diffusion_jax.process.schedules import schedules
    >>> round(float(Mode().time(jnp.float32(0.25), schedules.make("rectified_flow"))), 4)
    0.3836
    """

    formula: ClassVar[str] = "τ = u − scale (sin²(πu/2) − u), τ = (t − t_min)/(t_max − t_min)"

    scale: Scalar = 1.29

    def __post_init__(self) -> None:
        within(self, -1, LARGEST_SCALE, "scale")

    def time(self, u: Float[Array, "*shape"], schedule: Schedule) -> Float[Array, "*shape"]:
        return at_share(schedule, u - self.scale * (jnp.sin(jnp.pi / 2 * u) ** 2 - u))


@time_samplers.register("cosmap")
@pytree
class CosMap(TimeSampler):
    """The cosine schedule's density, on a straight path: t = 1 - 1/(tan(pi u/2) + 1).

    Its density is 2/(pi (1 - 2 t + 2 t²)) in relative time.

    Source: Esser et al. 2024 (SD3), eq. 21.

    >>> from diffusion_jax.process.schedules import schedules
    >>> round(float(CosMap().time(jnp.float32(0.5), schedules.make("rectified_flow"))), 4)
    0.5
    """

    formula: ClassVar[str] = "τ = 1 − 1/(tan(πu/2) + 1), τ = (t − t_min)/(t_max − t_min)"

    def time(self, u: Float[Array, "*shape"], schedule: Schedule) -> Float[Array, "*shape"]:
        sine, cosine = jnp.sin(jnp.pi / 2 * u), jnp.sin(jnp.pi / 2 * (1 - u))
        return at_share(schedule, sine / (sine + cosine))


@time_samplers.register("beta")
@pytree
class Beta(TimeSampler):
    """Beta(a, b) in relative time, from 0 (clean) to 1.

    Attributes:
        a: the larger, the fewer of the clean times; 1 with b = 1 is uniform.
        b: the larger, the fewer of the noisy ones.

    Source: Black et al. 2024 (pi_0), appendix B, which has a = 1.5 and b = 1 (in noise).

    >>> from diffusion_jax.process.schedules import schedules
    >>> round(float(Beta(a=2.0).time(jnp.float32(0.25), schedules.make("rectified_flow"))), 4)
    0.5
    """

    formula: ClassVar[str] = (
        "u = I(τ; a, b), the distribution function of Beta(a, b), τ = (t − t_min)/(t_max − t_min)"
    )

    a: Scalar = 1.5
    b: Scalar = 1.0

    def __post_init__(self) -> None:
        positive(self, "a", "b")

    def time(self, u: Float[Array, "*shape"], schedule: Schedule) -> Float[Array, "*shape"]:
        return at_share(schedule, beta_quantile(u, self.a, self.b))
