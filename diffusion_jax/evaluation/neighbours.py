"""Nearest training pictures: are samples closer to them than unseen real pictures are?

For a picture x let d(x) be the distance to its nearest training picture. A model that draws new
pictures has samples whose d is distributed as that of held-out real pictures; a model that repeats
what it saw has samples with smaller d. Copies are samples whose nearest training picture is less
than a third as far as their second nearest.

Source: Meehan, Chaudhuri, Dasgupta 2020, "A non-parametric test to detect data-copying in
generative models" (comparison with held-out data); Yoon et al. 2023, "Diffusion probabilistic
models generalize when they fail to memorize", section 3 (the ratio of one third).
"""

import numpy as np
from jaxtyping import Float

from diffusion_jax.evaluation.distance import Features

COPY = 1 / 3
CHUNK = 256  # pictures compared with all of training at a time, to bound memory


def nearest_two(points: Features, train: Features) -> Float[np.ndarray, "n 2"]:
    """Euclidean distances to the nearest and the second nearest of `train`.

    >>> nearest_two(np.array([[0.0]]), np.array([[5.0], [1.0], [-3.0]]))
    array([[1., 3.]])
    """
    squares = (train**2).sum(1)
    found = []
    for start in range(0, len(points), CHUNK):
        part = points[start : start + CHUNK]
        table = (part**2).sum(1)[:, None] - 2 * part @ train.T + squares
        pair = np.argpartition(table, 1, axis=1)[:, :2]
        # Again from the differences: those of large squares lose the digits of small distances.
        exact = np.linalg.norm(part[:, None] - train[pair], axis=2)
        found.append(np.sort(exact, axis=1))
    return np.concatenate(found)
