"""The family of autoencoders, which grows by a file in this folder.

An autoencoder stands between pictures and the process on both sides. Pictures have values from
-1 to 1. What a diffusion model sees are latents, which are scaled and shifted to about mean 0 and
variance 1:

    mean, log_variance = autoencoder.apply(params, x, method="encode")
    latents = autoencoder.apply(params, mean, method="normalise")
    x = autoencoder.apply(params, latents, method="reconstruct")
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from diffusion_jax.errors import UserError
from diffusion_jax.networks.configurations import rows
from diffusion_jax.registry import Registry

Grid = Float[Array, "batch height width channels"]
Pictures = Float[Array, "batch height width colours"]
Raw = Float[Array, "batch raw_height raw_width raw_channels"]
Latents = Float[Array, "batch latent_height latent_width latent_channels"]


class Autoencoder(nn.Module):
    """What every autoencoder is.

    `encode` tells a normal distribution of what the original calls its latents, and `decode` takes
    these; `normalise` makes of them what diffusion models see, `denormalise` undoes it.
    """

    @property
    def factor(self) -> int:
        """Pixels along a side for each cell of the latents that diffusion models see."""
        raise NotImplementedError

    @property
    def channels(self) -> int:
        """Channels of the latents that diffusion models see."""
        raise NotImplementedError

    @nn.nowrap
    def example(self, configuration: Mapping[str, Any]) -> tuple[Any, ...]:
        """Shapes of the inputs of a call."""
        side = 2 * self.factor
        return (rows(side, side, configuration.get("in_channels", 3)),)

    def encode(self, x: Pictures) -> tuple[Raw, Raw]:
        """Mean and log-variance of the original's latents; minus infinity where they are certain.

        Raises:
            UserError: sides of the pictures are no multiples of `factor`.
        """
        raise NotImplementedError

    def decode(self, z: Raw) -> Pictures:
        """The pictures that the original's latents stand for."""
        raise NotImplementedError

    def normalise(self, z: Raw) -> Latents:
        """The latents that diffusion models see."""
        raise NotImplementedError

    def denormalise(self, latents: Latents) -> Raw:
        """The original's latents: the inverse of `normalise`."""
        raise NotImplementedError

    def reconstruct(self, latents: Latents) -> Pictures:
        """The pictures that a diffusion model's latents stand for."""
        return self.decode(self.denormalise(latents))

    def __call__(self, x: Pictures, deterministic: bool = True) -> Pictures:
        """The pictures by way of the mean of their latents.

        Args:
            x: (batch, height, width, colours) float, from -1 to 1.
            deterministic: no dropout, which none of them has.
        """
        return self.reconstruct(self.normalise(self.encode(x)[0]))


autoencoders: Registry[Autoencoder] = Registry("autoencoder")


def draw(mean: Raw, log_variance: Raw, key: PRNGKeyArray) -> Raw:
    """Draws from the normal distribution that `encode` tells.

    >>> one = jnp.ones((1, 1, 1, 1))
    >>> draw(one, -jnp.inf * one, jax.random.key(0)).tolist()
    [[[[1.0]]]]
    """
    return mean + jnp.exp(log_variance / 2) * jax.random.normal(key, mean.shape, mean.dtype)


def at_least_single(h: Grid) -> Grid:
    """As float32, or as float64 where it was computed so."""
    return h.astype(jnp.promote_types(jnp.float32, h.dtype))


def certain(z: Raw) -> tuple[Raw, Raw]:
    """What `encode` tells of latents that are no distribution: their log-variance is -infinity."""
    return z, jnp.full_like(z, -jnp.inf)


def check_sizes(owner: str, shape: tuple[int, ...], factor: int) -> None:
    """Refuses pictures that an autoencoder cannot take.

    Args:
        owner: the autoencoder.
        shape: of the pictures.
        factor: of which their sides must be multiples.

    Raises:
        UserError: they are not.
    """
    height, width = shape[1:3]
    if height % factor or width % factor:
        raise UserError(
            f"{owner} cannot take {height}x{width} pictures: height and width must be multiples of "
            f"{factor}."
        )
