"""What EDM2 knows of its own error: a number for each noise level."""

import flax.linen as nn
from jaxtyping import Array, Float

from diffusion_jax.networks.magnitude_preserving import MPConv, MPFourier


class LogVariance(nn.Module):
    """u(c_noise), linear in sines of c_noise, without a bias.

    Source: Karras et al. 2024 (EDM2), eq. 21 and appendix B.

    Attributes:
        logvar_channels: number of sines.
    """

    logvar_channels: int = 128

    @nn.compact
    def __call__(self, c_noise: Float[Array, " batch"]) -> Float[Array, " batch"]:
        """Returns u for each noise level."""
        features = MPFourier(self.logvar_channels, name="logvar_fourier")(c_noise)
        return MPConv(1, name="logvar_linear")(features)[:, 0]
