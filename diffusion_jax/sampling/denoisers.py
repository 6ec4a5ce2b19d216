"""Denoisers: functions (x, level, condition) → E[x_0 | x], and how a network is one."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.process.level import Level
from diffusion_jax.process.preconditioning import input_scale, noise_label
from diffusion_jax.process.predictions import Prediction, to_x0
from diffusion_jax.struct import Scalar

# (x (batch, ...), level of shape () or (batch,), condition or None) → E[x_0 | x] (batch, ...)
Denoiser = Callable[[Float[Array, "batch ..."], Level, Any], Float[Array, "batch ..."]]

# (scaled x (batch, ...), noise label (batch,), condition) → prediction (batch, ...)
Network = Callable[
    [Float[Array, "batch ..."], Float[Array, "batch"], Any], Float[Array, "batch ..."]
]


def from_network(network: Network, prediction: Prediction, sigma_data: Scalar) -> Denoiser:
    """The denoiser that a trained network is.

    D(x, level) = x_0 part of network(c_in x, label), by the 2 × 2 map of `process.predictions`.

    Args:
        network: (c_in x, label, condition) → prediction, as it was trained.
        prediction: what the network predicts.
        sigma_data: standard deviation of the data, as in training.

    >>> from diffusion_jax.process.predictions import X0
    >>> denoise = from_network(lambda x, label, condition: 0 * x, X0(), sigma_data=0.5)
    >>> denoise(jnp.ones((2, 3)), Level(jnp.array(0.6), jnp.array(0.8)), None).shape
    (2, 3)
    """

    def denoise(x: Float[Array, "batch ..."], level: Level, condition: Any) -> Any:
        batch = (x.shape[0],)
        level = Level(jnp.broadcast_to(level.alpha, batch), jnp.broadcast_to(level.sigma, batch))
        scaled = input_scale(level, sigma_data).reshape(batch + (1,) * (x.ndim - 1)) * x
        return to_x0(network(scaled, noise_label(level), condition), x, level, prediction)

    return denoise
