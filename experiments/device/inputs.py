"""What a training step of either library is given: weights, pictures, noise, settings.

Needs NumPy alone, as PyTorch's process may have no JAX.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

SIGMA_DATA, LEARNING_RATE, DECAY = 0.5, 1e-4, 0.999

Arrays = dict[str, np.ndarray]


def random_weights(shapes: Mapping[str, tuple[int, ...]]) -> Arrays:
    """Parameters by their path in flax, of a size that keeps activations near one, none zero."""
    random, found = np.random.default_rng(0), {}
    for name, shape in shapes.items():
        inputs = max(int(np.prod(shape[:-1])), 1)
        scale = 0.7 / np.sqrt(inputs) if name.endswith("kernel") else 0.1
        values = np.float32(scale) * random.standard_normal(shape, np.float32)
        found[name] = values + np.float32(name.endswith("scale"))
    return found


def nested(weights: Arrays) -> dict[str, Any]:
    """Weights as flax has them."""
    found: dict[str, Any] = {}
    for path, value in weights.items():
        *parents, last = path.split("/")
        holder = found
        for name in parents:
            holder = holder.setdefault(name, {})
        holder[last] = value
    return found


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


def save(arrays: Arrays, path: Path) -> None:
    """Writes arrays by name."""
    np.savez(path, **arrays)  # type: ignore[arg-type]


def load(path: str | Path) -> Arrays:
    """Reads them back."""
    with np.load(path) as stored:
        return dict(stored)
