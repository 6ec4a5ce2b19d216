"""What consistency models share: EDM's process and scalings, with the boundary at sigma_min."""

import jax.numpy as jnp
from jax.scipy.stats import norm
from jaxtyping import Array, Float

from diffusion_jax.fewstep.base import TwoTimeNetwork
from diffusion_jax.process.per_sample import wide
from diffusion_jax.process.preconditionings import c_noise, input_scale
from diffusion_jax.process.schedules.exploding import EDM
from diffusion_jax.sampling.consistency_function import consistency_scalings
from diffusion_jax.struct import Scalar


class EDMTime:
    """x = x_0 + t eps with time t = sigma, and f(x, t) = c_skip x + c_out F(c_in x, t).

    A consistency function: it takes x from any time to the data, whatever the end.

    Attributes:
        sigma_data: standard deviation of the data.
        sigma_min: the least time, at which f(x, t) = x.
        sigma_max: the largest, from which samples are made.

    Source: Song et al. 2023 (consistency models), eq. 5 and appendix C.
    """

    sigma_data: Scalar
    sigma_min: Scalar
    sigma_max: Scalar

    tells_end = False
    denoises = False
    inherits = True
    paced = False

    @property
    def schedule(self) -> EDM:
        """alpha = 1, sigma = t."""
        return EDM(self.sigma_min, self.sigma_max)

    def c_noise(self, time: Float[Array, "batch"]) -> Float[Array, "batch"]:
        """log(t)/4, as of every denoiser."""
        return c_noise(self.schedule.level(time))

    def estimate(
        self,
        network: TwoTimeNetwork,
        x: Float[Array, "batch ..."],
        time: Float[Array, "batch"],
        end: Float[Array, "batch"],
    ) -> Float[Array, "batch ..."]:
        """f(x, t), whatever the end."""
        level = self.schedule.level(time)
        c_skip, c_out = consistency_scalings(self.sigma_data, self.sigma_min)(level)
        scaled = wide(input_scale(level, self.sigma_data), x) * x
        out = network(scaled, time, jnp.zeros_like(time))
        return wide(c_skip, x) * x + wide(c_out, x) * out

    def consistent(
        self, network: TwoTimeNetwork, x: Float[Array, "batch ..."], time: Float[Array, "batch"]
    ) -> Float[Array, "batch ..."]:
        """f(x, t)."""
        return self.estimate(network, x, time, jnp.zeros_like(time))


def truncated_log_normal(
    uniform: Float[Array, "batch"], mean: Scalar, std: Scalar, low: Scalar, high: Scalar
) -> Float[Array, "batch"]:
    """exp(N(mean, std²)), given that it lies in [low, high], by its quantiles.

    >>> found = truncated_log_normal(jnp.array([0.0, 0.5, 1.0]), 0.0, 1.0, 0.1, 10.0)
    >>> [round(float(value), 3) for value in found]
    [0.1, 1.0, 10.0]
    """
    ends = norm.cdf((jnp.log(jnp.array([low, high], float)) - mean) / std)
    found = jnp.exp(mean + std * norm.ppf(ends[0] + uniform * (ends[1] - ends[0])))
    return jnp.clip(found, low, high)


def on_karras_grid(
    place: Float[Array, "batch"], rho: Scalar, low: Scalar, high: Scalar
) -> Float[Array, "batch"]:
    """sigma at `place` in [0, 1] on EDM's grid, least noise first.

    >>> on_karras_grid(jnp.array([0.0, 1.0]), 7.0, 0.002, 80.0).round(3).tolist()
    [0.002..., 80.0...]
    """
    return (low ** (1 / rho) + place * (high ** (1 / rho) - low ** (1 / rho))) ** rho
