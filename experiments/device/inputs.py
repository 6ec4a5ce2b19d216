"""What a training step of either library is given: weights, pictures, noise, settings.

Needs NumPy alone, as PyTorch's process may have no JAX.
"""

import numpy as np

from experiments.weights import Arrays

SIGMA_DATA, LEARNING_RATE, DECAY = 0.5, 1e-4, 0.999


def first_batch(shape: tuple[int, ...], count: int, classes: int) -> Arrays:
    """Pictures, noise, times in (0, 1), and classes (-1 for none), on which losses are compared."""
    random = np.random.default_rng(1)
    pictures, noise = (random.standard_normal((count, *shape), np.float32) for _ in range(2))
    label = random.integers(max(classes, 1), size=count, dtype=np.int32)
    return {
        "pictures": np.float32(SIGMA_DATA) * pictures,
        "noise": noise,
        "time": random.uniform(0.05, 0.95, count).astype(np.float32),
        "label": np.where(np.arange(count) % 4 == 0, np.int32(-1), label),
    }
