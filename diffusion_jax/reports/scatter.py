"""Vectors as plots: how many points lie where."""

import numpy as np
from jaxtyping import Float, UInt8

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import take, values_of
from diffusion_jax.inference.trajectory import plane

REACH = 1.25  # of the window, along each axis from the origin, unless data reach farther
LOOKED_AT = 1000  # test examples
SIDE = 160  # pixels
FILM_SIDE = 96
PAPER, INK = np.array([255.0, 255.0, 255.0]), np.array([29.0, 34.0, 48.0])


def scatter(
    points: Float[np.ndarray, "n features"], side: int = SIDE, reach: float = REACH
) -> UInt8[np.ndarray, "{side} {side} 3"]:
    """The first two coordinates of points in the window [-reach, reach]², the second upwards.

    A pixel is the darker, the more points lie in it: 1 - exp(-3 n/m) of the ink, where m is the
    count that 99 of 100 pixels with points do not exceed. Points outside, and such that are not
    finite, are not seen. Of vectors of one number, the second coordinate is 0.

    >>> picture = scatter(np.zeros((5, 2)), side=3)
    >>> picture[1, 1].tolist(), picture[0, 0].tolist()
    ([40, 45, 58], [255, 255, 255])
    """
    x, y = plane(points).T
    finite = np.isfinite(x) & np.isfinite(y)
    edges = [(-reach, reach)] * 2
    counts, _, _ = np.histogram2d(-y[finite], x[finite], bins=side, range=edges)
    some = counts[counts > 0]
    most = np.quantile(some, 0.99) if len(some) else 1.0
    shade = 1 - np.exp(-3 * counts / most)[..., None]
    return np.rint(PAPER + shade * (INK - PAPER)).astype(np.uint8)


def window(data: Dataset) -> float:
    """How far a plot of a data set reaches: to its test examples, and a fifth farther."""
    if data.has_pictures or not len(data.test):
        return REACH
    points = plane(values_of(take(data.test, range(min(LOOKED_AT, len(data.test))))))
    farthest = float(np.quantile(np.abs(points), 0.999))
    return REACH if farthest <= REACH else 1.2 * farthest
