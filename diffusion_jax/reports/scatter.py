"""Vectors as pictures: how many points lie where."""

import numpy as np
from jaxtyping import Float, UInt8

from diffusion_jax.data.example import Values

REACH = 1.25  # of the window, along each axis from the origin
SIDE = 160  # pixels
FILM_SIDE = 96
PAPER, INK = np.array([255.0, 255.0, 255.0]), np.array([29.0, 34.0, 48.0])


def scatter(
    points: Float[np.ndarray, "n features"], side: int = SIDE
) -> UInt8[np.ndarray, "{side} {side} 3"]:
    """The first two coordinates of points in the window [-1.25, 1.25]², the second upwards.

    A pixel is the darker, the more points lie in it: 1 - exp(-3 n/m) of the ink, where m is the
    count that 99 of 100 pixels with points do not exceed. Points outside, and such that are not
    finite, are not seen. Of vectors of one number, the second coordinate is 0.

    >>> picture = scatter(np.zeros((5, 2)), side=3)
    >>> picture[1, 1].tolist(), picture[0, 0].tolist()
    ([40, 45, 58], [255, 255, 255])
    """
    x = points[:, 0]
    y = points[:, 1] if points.shape[1] > 1 else np.zeros_like(x)
    finite = np.isfinite(x) & np.isfinite(y)
    window = [(-REACH, REACH)] * 2
    counts, _, _ = np.histogram2d(-y[finite], x[finite], bins=side, range=window)
    some = counts[counts > 0]
    most = np.quantile(some, 0.99) if len(some) else 1.0
    shade = 1 - np.exp(-3 * counts / most)[..., None]
    return np.rint(PAPER + shade * (INK - PAPER)).astype(np.uint8)


def as_pictures(values: Values) -> UInt8[np.ndarray, "_ height width channels"]:
    """Pictures as they are; of vectors, one picture of all."""
    return values if values.ndim == 4 else scatter(values)[None]


def as_film(
    x: Float[np.ndarray, "frames n features"],
) -> UInt8[np.ndarray, "frames 1 height width 3"]:
    """Vectors that move, a picture of all for every frame."""
    return np.stack([scatter(frame, FILM_SIDE)[None] for frame in x])
