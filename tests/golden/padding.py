"""Arrays padded to few lengths, so that one compiled program serves many recorded cases."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

__all__ = ["cut", "pad", "rows"]

ROWS = 512


def pad(values: Any, length: int) -> Array:
    """Repeats the last of some values, along the first axis, up to a length."""
    values = np.asarray(values)
    missing = [(0, length - len(values))] + [(0, 0)] * (values.ndim - 1)
    return jnp.asarray(np.pad(values, missing, mode="edge"))


def rows(values: Any) -> Array:
    """Pads values to a multiple of ROWS."""
    return pad(values, -(-len(values) // ROWS) * ROWS)


def cut(tree: Any, length: int) -> Any:
    """The first of padded values, without compiling a program for each length."""
    return jax.tree.map(lambda values: jnp.asarray(np.asarray(values)[:length]), tree)
