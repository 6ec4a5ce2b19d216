"""What the objectives on the straight path share: velocities over a distance in time."""

import jax.numpy as jnp
from jax.scipy.stats import norm
from jaxtyping import Array, Float

from diffusion_jax.fewstep.base import TwoTimeNetwork
from diffusion_jax.process.per_sample import wide
from diffusion_jax.process.schedules.flow import RectifiedFlow
from diffusion_jax.struct import Scalar


class StraightPath:
    """x = (1 - t) x_0 + t eps for t in [0, 1], and x_r = x_t - (t - r) u(x_t, t, r)."""

    schedule = RectifiedFlow()
    denoises = True
    inherits = False
    paced = False

    def c_noise(self, time: Float[Array, "batch"]) -> Float[Array, "batch"]:
        """5 t - 5/2: linear, so that derivatives in time stay bounded at both ends."""
        return 5 * time - 2.5

    def estimate(
        self,
        network: TwoTimeNetwork,
        x: Float[Array, "batch ..."],
        time: Float[Array, "batch"],
        end: Float[Array, "batch"],
    ) -> Float[Array, "batch ..."]:
        """x - t u(x, t, r): on this path a step of DDIM goes along a straight line."""
        return x - wide(time, x) * network(x, time, end)


def logit_normal(uniform: Float[Array, "..."], mean: Scalar, std: Scalar) -> Float[Array, "..."]:
    """Times whose logit is normal, by their quantiles.

    >>> round(float(logit_normal(jnp.float32(0.5), 0.0, 1.0)), 4)
    0.5
    """
    # Inside of (0, 1), whose ends have infinite quantiles.
    inside = jnp.clip(uniform, 1e-6, 1 - 1e-6)
    return 1 / (1 + jnp.exp(-(mean + std * norm.ppf(inside))))
