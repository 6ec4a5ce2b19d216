"""Half and double the size of a picture, as the U-Nets do it between two levels."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.networks.layers import Conv
from diffusion_jax.networks.resample import resample

Grid = Float[Array, "batch height width channels"]
Resized = Float[Array, "batch new_height new_width channels"]

# The filter of NCSN++, by which it halves and doubles: smoother than means and copies.
FIR = (1.0, 3.0, 3.0, 1.0)


def halved(x: Grid) -> Resized:
    """Means of squares of two by two; a last odd row or column is left out."""
    return nn.avg_pool(x, (2, 2), (2, 2))


def doubled(x: Grid) -> Resized:
    """Each cell as two by two."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def nearest(x: Grid, height: int, width: int) -> Resized:
    """The grid at another size: each cell is the one of x at its upper left corner.

    Args:
        x: grid.
        height, width: of the result.

    >>> nearest(jnp.arange(2.0).reshape(1, 1, 2, 1), 1, 3).ravel().tolist()
    [0.0, 0.0, 1.0]
    """
    if (height, width) == (2 * x.shape[1], 2 * x.shape[2]):
        return doubled(x)
    rows = jnp.arange(height) * x.shape[1] // height
    columns = jnp.arange(width) * x.shape[2] // width
    return x[:, rows][:, :, columns]


def fir_halved(x: Grid) -> Resized:
    """Half the size by the filter (1, 3, 3, 1), with zeros around.

    Source: Song et al. 2021 (score SDE), appendix H.2 (NCSN++), after StyleGAN-2.
    """
    return resample(x, "down", FIR)


def fir_doubled(x: Grid) -> Resized:
    """Double the size by the filter (1, 3, 3, 1), with zeros around; source as `fir_halved`."""
    return resample(x, "up", FIR)


RESAMPLING = {
    "down": halved,
    "up": doubled,
    "fir_down": fir_halved,
    "fir_up": fir_doubled,
}


class DownsampleConv(nn.Module):
    """A 3 × 3 convolution of stride 2.

    Attributes:
        features: channels of the result.
        padding: zeros around: 1, or 0 for a row and a column at the end alone.
        dtype: dtype of the computation.
    """

    features: int
    padding: int = 1
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Grid) -> Float[Array, "batch new_height new_width features"]:
        around = (self.padding, self.padding) if self.padding else (0, 1)
        conv = Conv(self.features, stride=2, padding=around, dtype=self.dtype, name="conv")
        return conv(x)


class Upsample(nn.Module):
    """The nearest cell at a larger size, then a 3 × 3 convolution.

    Attributes:
        features: channels of the result.
        dtype: dtype of the computation.
        convolution: as of a `UNet`.
    """

    features: int
    dtype: str = "float32"
    convolution: str = "direct"

    @nn.compact
    def __call__(
        self, x: Grid, height: int, width: int
    ) -> Float[Array, "batch new_height new_width features"]:
        larger = nearest(x, height, width)
        conv = Conv(self.features, dtype=self.dtype, convolution=self.convolution, name="conv")
        return conv(larger)
