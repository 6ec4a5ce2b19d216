"""Rotary positions: pairs of features of queries and keys, turned by where their row is."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Float32

from diffusion_jax.errors import UserError
from diffusion_jax.networks.transformers.embeddings import wide

Rotation = tuple[
    Float[Array | np.ndarray, "rows pairs"],
    Float[Array | np.ndarray, "rows pairs"],
]
"""cos and sin of the angle of each pair of features, row by row."""


def rotation(
    places: Float[np.ndarray, "rows axes"],
    widths: Sequence[int],
    theta: float = 1e4,
    dtype: DTypeLike = "float64",
) -> tuple[Float32[np.ndarray, "rows pairs"], Float32[np.ndarray, "rows pairs"]]:
    """cos and sin of p w_k with w_k = theta^(-2k/n), for each axis its n features.

    Args:
        places: coordinates p of each row along each axis.
        widths: features of a head that turn with each axis, even numbers.
        theta: longest period over 2 pi.
        dtype: in which the original takes p w_k; the results are float32, as it keeps them.

    Source: Su et al. 2021 (RoFormer), section 3.2.2.

    >>> cos, sin = rotation(np.array([[0.0], [np.pi]]), (2,))
    >>> cos.tolist(), (cos**2 + sin**2).tolist()
    ([[1.0], [-1.0]], [[1.0], [1.0]])
    """
    angles = []
    for along, width in zip(places.T, widths, strict=True):
        exponent = np.arange(0, width, 2).astype(dtype) / np.asarray(width, dtype)
        each = np.asarray(1, dtype) / np.asarray(theta, dtype) ** exponent
        angles.append(np.outer(along.astype(dtype), each))
    whole = np.concatenate(angles, axis=1).astype(np.float64)
    return np.cos(whole).astype(np.float32), np.sin(whole).astype(np.float32)


def check_axes(owner: str, widths: tuple[int, ...], axes: int, head_width: int, name: str) -> None:
    """Raises UserError unless even parts of a head turn with each axis.

    Args:
        owner: the network, as the user wrote it.
        widths: features that turn with each axis.
        axes: how many there are.
        head_width: features of a head.
        name: of the setting.
    """
    if len(widths) != axes or sum(widths) != head_width or any(n % 2 or n < 2 for n in widths):
        raise UserError(
            f"{owner}: {name} must be {axes} even numbers whose sum is the {head_width} features "
            f"of a head, got {widths}."
        )


def grid_places(rows: int, columns: int) -> Float[np.ndarray, "cells two"]:
    """Row and column of each cell of a grid, row by row.

    >>> grid_places(2, 2).tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    """
    return np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), -1).reshape(
        -1, 2
    ) * np.ones(1)


def rotated(
    x: Float[Array, "batch rows heads head"], rotation: Rotation
) -> Float[Array, "batch rows heads head"]:
    """(x₀ cos - x₁ sin, x₁ cos + x₀ sin) for each pair of neighbouring features.

    It is taken in float32 at least, as the originals do.
    """
    cos, sin = (jnp.asarray(each, wide(x.dtype))[:, None] for each in rotation)
    pairs = x.astype(cos.dtype).reshape(*x.shape[:-1], -1, 2)
    first, second = pairs[..., 0], pairs[..., 1]
    turned = jnp.stack([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return turned.reshape(x.shape).astype(x.dtype)
