"""Consistency functions from networks: f(x, level) = c_skip x + c_out F(x, level).

A consistency function takes x along the flow to the data, so that on data it must change nothing:
c_skip = 1 and c_out = 0 there, whatever the network says.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from diffusion_jax.process.denoiser import Denoiser, DenoiserLike
from diffusion_jax.process.level import Level
from diffusion_jax.process.per_sample import wide
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.struct import Scalar

Coefficients = Callable[[Level], tuple[Float[Array, "..."], Float[Array, "..."]]]


def consistency_scalings(sigma_data: Scalar = 0.5, sigma_min: Scalar = 0.002) -> Coefficients:
    """EDM's scalings, moved so that the boundary lies at sigma_min instead of 0.

    With r = sigma/alpha, for z = x/alpha:
    c_skip = sigma_data²/((r - sigma_min)² + sigma_data²),
    c_out = sigma_data (r - sigma_min)/sqrt(sigma_data² + r²).

    Args:
        sigma_data: standard deviation of the data.
        sigma_min: the sigma/alpha at which f changes nothing.

    Source: Song et al. 2023 (consistency models), appendix C.

    >>> level = Level(jnp.float32(1.0), jnp.float32(0.002))
    >>> [float(value) for value in consistency_scalings()(level)]
    [1.0, 0.0]
    """

    def coefficients(level: Level) -> tuple[Array, Array]:
        r, beyond = level.noise_to_signal, level.noise_to_signal - sigma_min
        c_out = sigma_data * beyond / jnp.sqrt(sigma_data**2 + r**2)
        return sigma_data**2 / (beyond**2 + sigma_data**2) / level.alpha, c_out

    return coefficients


def latent_consistency_scalings(
    schedule: Schedule, train_steps: int = 1000, scaling: Scalar = 10.0, sigma_data: Scalar = 0.5
) -> Coefficients:
    """LCM's scalings, by the label i = 0 … train_steps - 1 that the network knows the level by.

    c_skip = sigma_data²/((scaling i)² + sigma_data²), c_out = scaling i/sqrt((scaling i)² +
    sigma_data²): all but 0 and 1 as soon as i > 0.

    Args:
        schedule: in whose time label i is at t_max (i + 1)/train_steps.
        train_steps: number of labels.
        scaling: how fast c_skip falls; the larger, the smaller the step at the boundary.
        sigma_data: standard deviation of the data.

    Source: Luo et al. 2023 (LCM), section 4.1 and appendix; the scaling is their code's.

    >>> from diffusion_jax.process.schedules import schedules
    >>> table = schedules.make("ddpm_linear")
    >>> c_skip, c_out = latent_consistency_scalings(table)(table.level(jnp.float32(0.5)))
    >>> bool(c_skip < 1e-7), round(float(c_out), 6)
    (True, 1.0)
    """

    def coefficients(level: Level) -> tuple[Array, Array]:
        label = train_steps * schedule.time(level.log_snr) / schedule.t_max - 1
        scaled = scaling * jnp.maximum(label, 0)
        size = scaled**2 + sigma_data**2
        return sigma_data**2 / size, scaled / jnp.sqrt(size)

    return coefficients


def with_boundary(function: DenoiserLike, coefficients: Coefficients) -> Denoiser:
    """The consistency function c_skip x + c_out F(x, level, condition).

    Args:
        function: F: a network, or the estimate of x_0 that one makes (LCM).
        coefficients: (c_skip, c_out) of a level.

    >>> f = with_boundary(lambda x, level, condition: 7 * x, consistency_scalings())
    >>> f(jnp.ones((1, 2)), Level(jnp.float32(1.0), jnp.float32(0.002)), None).tolist()
    [[1.0, 1.0]]
    """

    def bounded(x: Array, level: Level, condition: PyTree, end: Level | None) -> Array:
        c_skip, c_out = (wide(each, x) for each in coefficients(level))
        return c_skip * x + c_out * function(x, level, condition)

    return Denoiser(bounded, denoises=False)
