"""Random numbers that belong to an example, not to a sequence of calls."""

import math

import numpy as np
from jaxtyping import Float32, Float64, Int64


def uniforms(
    seed: int, indices: Int64[np.ndarray, " n"], columns: int
) -> Float64[np.ndarray, "n {columns}"]:
    """Numbers in [0, 1) that are a pure function of (seed, index, column).

    SplitMix64's finaliser (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number
    generators", figure 16) chained over the three integers: it vectorises over indices, keeps
    no state, and does not change with the version of NumPy.

    Args:
        seed: any integer.
        indices: of examples.
        columns: numbers per example.

    Returns:
        One row for each index.

    >>> uniforms(0, np.arange(2), 2).round(3).tolist()
    [[0.883, 0.432], [0.823, 0.372]]
    """
    # Arrays of integers wrap around without a warning, and modulo 2^64 is what is meant.
    keys = _mix(np.array([seed % 2**64], np.uint64) + _GOLDEN)
    keys = _mix(keys ^ _mix((indices.astype(np.uint64) + np.uint64(1)) * _GOLDEN))
    keys = _mix(keys[:, None] + np.arange(1, columns + 1, dtype=np.uint64) * _GOLDEN)
    return (keys >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normals(
    u: Float64[np.ndarray, " two"], shape: tuple[int, ...]
) -> Float32[np.ndarray, "*shape"]:
    """Standard normal numbers that are a pure function of two uniform ones.

    Box and Muller 1958, on `uniforms` whose seed is made of the bits of the two.

    Args:
        u: from [0, 1), as `uniforms` gives them.
        shape: of the result.

    >>> normals(np.array([0.25, 0.5]), (3,)).round(2)
    array([-1.12,  1.17, -0.31], dtype=float32)
    """
    low, high = (int(each * 2.0**53) for each in u)
    pairs = uniforms(low ^ (high << 11), np.arange((math.prod(shape) + 1) // 2), 2)
    radius, angle = np.sqrt(-2 * np.log1p(-pairs[:, 0])), 2 * np.pi * pairs[:, 1]
    found = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return found.ravel()[: math.prod(shape)].reshape(shape).astype(np.float32)


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
