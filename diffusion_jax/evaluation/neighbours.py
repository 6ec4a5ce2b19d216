"""Memorisation: are samples closer to training pictures than unseen real pictures are?

For a picture x let d(x) be the distance to its nearest training picture. A model that draws new
pictures has samples whose d is distributed as that of held-out real pictures; a model that
repeats what it saw has samples with smaller d. Also counted are copies in the sense of Carlini
et al. and Yoon et al.: samples whose nearest training picture is less than a third as far as
their second nearest.

Source: Meehan, Chaudhuri, Dasgupta 2020, "A non-parametric test to detect data-copying in
generative models" (comparison with held-out data); Yoon et al. 2023, "Diffusion probabilistic
models generalize when they fail to memorize", section 3 (the ratio of one third).
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from diffusion_jax.errors import UserError
from diffusion_jax.evaluation.distance import Features

COPY = 1 / 3
CHUNK = 256  # pictures compared with all of training at a time, to bound memory


@dataclasses.dataclass(frozen=True)
class Memorisation:
    """How close samples are to the training pictures.

    Attributes:
        ratio: median d of the samples over median d of held-out pictures; 1 if samples are as
            new as those, 0 if they are training pictures.
        closer: probability that a sample has a smaller d than a held-out picture, ties counted
            half; 1/2 if samples are as new as those, 1 if all are copies.
        copies: share of samples whose nearest training picture is less than a third as far as
            the second nearest.
    """

    ratio: float
    closer: float
    copies: float


def memorisation(samples: Features, train: Features, held_out: Features) -> Memorisation:
    """Compares the samples' nearest training pictures with those of held-out pictures.

    Args:
        samples: (n, d), as `diffusion_jax.evaluation.distance.features` makes them.
        train: (m, d) the training pictures, m at least 2.
        held_out: (k, d) real pictures that were not trained on.

    Raises:
        UserError: a set is too small.

    >>> train, new = np.random.default_rng(0).normal(size=(2, 500, 3))
    >>> memorisation(train[:50], train, new)
    Memorisation(ratio=0.0, closer=1.0, copies=1.0)
    """
    if len(train) < 2 or not len(samples) or not len(held_out):
        raise UserError("Memorisation needs samples, held-out pictures and 2 training pictures.")
    ours, theirs = nearest_two(samples, train), nearest_two(held_out, train)[:, 0]
    order = np.sign(theirs - ours[:, :1])
    return Memorisation(
        ratio=float(np.median(ours[:, 0]) / np.median(theirs)),
        closer=float((1 + order.mean()) / 2),
        copies=float(np.mean(ours[:, 0] < COPY * ours[:, 1])),
    )


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
