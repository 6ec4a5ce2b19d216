"""The sliced Wasserstein distance between two sets of pictures, on pixels.

Along a direction u on the unit sphere a set of pictures becomes a set of numbers, and between
two such sets of n the optimal transport pairs the k-th smallest with the k-th smallest:

    SW_2² = mean over u, k of (⟨u, x⟩_(k) - ⟨u, y⟩_(k))².

A shift of all pictures by m moves them by |m|/√d, its root mean square over the d pixels, which
are in [-1, 1]. The distance sees whole marginal distributions where the kernel distance sees
three moments. It is biased upwards by chance: two sets of n real pictures are not at 0. So it is
only to be shown beside that floor, and between equal counts.

Source: Rabin, Peyré, Delon, Bernot 2011, "Wasserstein barycenter and its application to texture
mixing", section 3; Bonneel et al. 2015, eq. 8.
"""

import numpy as np
from jaxtyping import Float

from diffusion_jax.errors import UserError
from diffusion_jax.evaluation.distance import Features

DIRECTIONS = 512
SEED = 20_110_529  # of the directions: the same for every distance ever reported


def sliced_wasserstein(samples: Features, data: Features, directions: int = DIRECTIONS) -> float:
    """The sliced 2-Wasserstein distance SW_2 between two sets of the same size.

    Args:
        samples: (n, d), as `diffusion_jax.evaluation.distance.features` makes them.
        data: (n, d).
        directions: how many, the first of one fixed sequence.

    Raises:
        UserError: the sets differ in size or dimension, or are empty.

    >>> x = np.random.default_rng(0).normal(size=(100, 4))
    >>> round(sliced_wasserstein(x, x + np.array([3.0, 0, 0, 0])), 1)  # 3 / √4
    1.5
    """
    if samples.shape != data.shape or not samples.size:
        raise UserError(
            f"A sliced Wasserstein distance needs two sets of one size, got {samples.shape} "
            f"and {data.shape}."
        )
    sphere = _directions(directions, samples.shape[1])
    gaps = np.sort(samples @ sphere, axis=0) - np.sort(data @ sphere, axis=0)
    return float(np.sqrt(np.mean(gaps**2)))


def floor(data: Features, directions: int = DIRECTIONS) -> float:
    """The distance between the two halves of real data, interleaved: what chance alone gives.

    Args:
        data: (2 n, d) real pictures, for comparison with distances between sets of n.

    >>> data = np.random.default_rng(0).normal(size=(2000, 4))
    >>> 0 < floor(data) < 0.1
    True
    """
    count = len(data) // 2 * 2
    return sliced_wasserstein(data[0:count:2], data[1:count:2], directions)


def _directions(count: int, dim: int) -> Float[np.ndarray, "dim count"]:
    normal = np.random.default_rng(SEED).normal(size=(count, dim))
    return (normal / np.linalg.norm(normal, axis=1, keepdims=True)).T
