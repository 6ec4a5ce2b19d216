"""What the objectives on the straight path share: velocities over a distance in time."""

import jax.numpy as jnp
from jax.scipy.stats import norm
from jaxtyping import Array, Float

from diffusion_jax.fewstep.base import Network, like
from diffusion_jax.process.level import Level
from diffusion_jax.struct import Scalar


class StraightPath:
    """x = (1 - t) x_0 + t eps for t in [0, 1], and x_r = x_t - (t - r) u(x_t, t, r)."""

    t_max = 1.0

    def level(self, time: Float[Array, "batch"]) -> Level:
        """alpha = 1 - t, sigma = t."""
        return Level(1 - time, time)

    def jump(
        self,
        network: Network,
        x: Float[Array, "batch ..."],
        time: Float[Array, "batch"],
        end: Float[Array, "batch"],
    ) -> Float[Array, "batch ..."]:
        """As far as the velocity carries."""
        return x - like(time - end, x) * network(x, time, end)


def logit_normal(uniform: Float[Array, "..."], mean: Scalar, std: Scalar) -> Float[Array, "..."]:
    """Times whose logit is normal, by their quantiles.

    >>> round(float(logit_normal(jnp.float32(0.5), 0.0, 1.0)), 4)
    0.5
    """
    # Inside of (0, 1), whose ends have infinite quantiles.
    inside = jnp.clip(uniform, 1e-6, 1 - 1e-6)
    return 1 / (1 + jnp.exp(-(mean + std * norm.ppf(inside))))
