"""Values of pixels as numbers, and back: the ends of a latent variable model of pictures."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from diffusion_jax.process.level import Level
from diffusion_jax.process.per_sample import mean_dims


def encode(pixels: Int[Array, "..."], values: int = 256) -> Float[Array, "..."]:
    """2 (v + 1/2)/values - 1: the middle of each value's bin of [-1, 1].

    Args:
        pixels: from 0 to values - 1.
        values: number of values of a pixel.

    Source: Kingma et al. 2021 (VDM), appendix C.

    >>> encode(jnp.array([0, 3]), values=4).tolist()
    [-0.75, 0.75]
    """
    return 2 * (pixels + 0.5) / values - 1


def decode(z: Float[Array, "..."], level: Level, values: int = 256) -> Float[Array, "... values"]:
    """log p(v | z) of each value of each pixel, from the least noisy latent.

    p(v | z) is proportional to N(z; alpha encode(v), sigma²): the posterior of a pixel whose
    values are all as likely as each other.

    Args:
        z: latents, alpha x_0 + sigma eps.
        level: their noise level.
        values: number of values of a pixel.

    Source: Kingma et al. 2021 (VDM), eq. 12 and appendix C.

    >>> level = Level(jnp.float32(1.0), jnp.float32(0.01))
    >>> int(jnp.argmax(decode(jnp.array(0.24), level, values=4)))
    2
    """
    level = level.like(z)
    distance = (z / level.alpha)[..., None] - encode(jnp.arange(values), values)
    return jax.nn.log_softmax(-((distance / level.noise_to_signal[..., None]) ** 2) / 2, axis=-1)


def reconstruction(
    pixels: Int[Array, "batch ..."],
    z: Float[Array, "batch ..."],
    level: Level,
    values: int = 256,
) -> Float[Array, "batch"]:
    """-log p(pixels | z) of each picture, in nats per dimension; arguments as of `decode`.

    Source: Kingma et al. 2021 (VDM), eq. 11, the reconstruction loss.
    """
    log_p = decode(z, level, values)
    chosen = jnp.take_along_axis(log_p, pixels[..., None], axis=-1)[..., 0]
    return -mean_dims(chosen)
