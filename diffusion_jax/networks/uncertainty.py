"""What a network knows of its own error: a number for each noise level."""

import flax.linen as nn
from jaxtyping import Array, Float

from diffusion_jax.networks.embeddings import noise_features
from diffusion_jax.networks.initializers import Dense


class UncertaintyHead(nn.Module):
    """u(c_noise), linear in sines and cosines of c_noise; 0 before training.

    Source: Karras et al. 2024 (EDM2), appendix B.

    Attributes:
        width: number of sines and cosines.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> head = UncertaintyHead()
    >>> jax.eval_shape(head.init_with_output, jax.random.key(0), jnp.zeros(5))[0].shape
    (5,)
    """

    width: int = 128

    @nn.compact
    def __call__(self, c_noise: Float[Array, " batch"]) -> Float[Array, " batch"]:
        """Returns u for each noise level."""
        zeros = nn.initializers.zeros_init()
        features = noise_features(c_noise, self.width)
        return Dense(1, kernel_init=zeros, name="zero_u")(features)[:, 0]
