"""Pictures of one size made to fit another, and what of a picture is kept."""

import jax
from jaxtyping import Array, Float

from diffusion_jax.sampling.inverse import Mask, Posterior
from diffusion_jax.sampling.inverse.diffpir import DiffPIR

EXACT = 1e-3  # standard deviation of noise in what is kept

Pictures = Float[Array, "batch height width channels"]


def fitted(
    pictures: Pictures, size: tuple[int, int]
) -> Float[Array, "batch new_height new_width channels"]:
    """Pictures scaled, bilinearly, until they cover a size, and cut to it about their middle.

    Args:
        pictures: of any size.
        size: height and width.

    >>> import jax.numpy as jnp
    >>> fitted(jnp.arange(4.0).reshape(1, 1, 4, 1), (2, 2))[0, 0, :, 0].round(2).tolist()
    [1.25, 1.75]
    """
    batch, rows, columns, channels = pictures.shape
    height, width = size
    if (rows, columns) == (height, width):
        return pictures
    ratio = max(height / rows, width / columns)
    tall, wide = max(int(rows * ratio), height), max(int(columns * ratio), width)
    scaled = jax.image.resize(pictures, (batch, tall, wide, channels), "bilinear", antialias=False)
    top, left = (tall - height) // 2, (wide - width) // 2
    return scaled[:, top : top + height, left : left + width]


def kept(
    keep: Float[Array, "height width 1"],
    known: Float[Array, "batch rows columns features"],
) -> Posterior:
    """The posterior of latents of which those under `keep` are known.

    Args:
        keep: 1 where the picture stays as it is.
        known: the latents of the picture.
    """
    rows, columns = known.shape[1:3]
    # A cell of latents is known where all its pixels are.
    cells = keep.reshape(rows, keep.shape[0] // rows, columns, keep.shape[1] // columns)
    mask = Mask(cells.min(axis=(1, 3))[:, :, None])
    return DiffPIR(mask, mask(known), noise_std=EXACT)
