"""Parameters for benchmarks, by their path in flax, and files of them.

Needs NumPy alone, as the processes of other libraries may have no JAX.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]


def random_weights(shapes: Mapping[str, tuple[int, ...]]) -> Arrays:
    """Parameters by their path in flax, of a size that keeps activations near one, none zero."""
    random, found = np.random.default_rng(0), {}
    for name, shape in shapes.items():
        inputs = max(int(np.prod(shape[:-1])), 1)
        scale = 0.7 / np.sqrt(inputs) if name.endswith("kernel") else 0.1
        # In double precision, as single numbers are zero now and then.
        values = scale * random.standard_normal(shape) + name.endswith("scale")
        found[name] = values.astype(np.float32)
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


def save(arrays: Arrays, path: Path) -> None:
    """Writes arrays by name."""
    np.savez(path, **arrays)  # type: ignore[arg-type]


def load(path: str | Path) -> Arrays:
    """Reads them back."""
    with np.load(path) as stored:
        return dict(stored)
