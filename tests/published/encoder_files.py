"""Tensors and pictures of encoders' files, the same wherever they are made."""

import json
from collections.abc import Mapping

import numpy as np

SIDE = 12  # of CLIP's pictures
GRID = 3  # patches along DINOv2's, of 14 each


def tensors(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """A tensor for each name: around one for what multiplies, and small elsewhere."""
    found = {}
    for i, (name, shape) in enumerate(sorted(shapes.items())):
        drawn = np.random.RandomState(i).uniform(-0.5, 0.5, shape)  # whose numbers are settled
        scales = name.endswith(("gamma", "norm.weight")) or ".ln_" in name or ".norm" in name
        wide = shape[-1] if len(shape) > 1 else 25
        value = (drawn + 1.0 if scales and name.endswith(("weight", "gamma")) else drawn) * (
            1.0 if scales else 4 / np.sqrt(wide)
        )
        found[name] = np.asarray(value, np.float32)
    return found


def pictures(side: int = SIDE) -> np.ndarray:
    """Two pictures, normalised."""
    return np.random.RandomState(99).normal(size=(2, side, side, 3)).astype(np.float32)


def photographs() -> list[np.ndarray]:
    """Two pictures in bytes, of different sizes."""
    pick = np.random.RandomState(98)
    sides = (260, 300), (31, 20)
    return [pick.randint(0, 256, (*side, 3)).astype(np.uint8) for side in sides]


def shapes_in(recorded: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    """The shapes of a file's tensors, as the recorder wrote them."""
    told = json.loads(str(recorded["shapes"]))
    return {name: tuple(shape) for name, shape in told.items()}
