"""Where a patch is in the picture, as sines and cosines, as released transformers have it."""

import functools

import numpy as np
from jaxtyping import Float32


def _sines(places: np.ndarray, width: int) -> np.ndarray:
    frequencies = 1 / 1e4 ** (np.arange(width // 2) / (width / 2))
    angles = places[:, None].astype(np.float64) * frequencies
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


@functools.lru_cache(maxsize=32)
def sincos_table(
    rows: int, columns: int, width: int, base_size: int | None = None, scale: float = 1.0
) -> Float32[np.ndarray, "rows columns width"]:
    """Sines and cosines of the column, then of the row, half of the features each.

    Args:
        rows, columns: patches of the picture.
        width: features, a multiple of 4.
        base_size: patches along a side of the pictures that the network was trained on: places
            are stretched to as many, whatever the picture's size. None leaves them 0, 1, 2, ….
        scale: divides the places.

    Returns:
        Rounded to float32, as the originals keep it.

    Source: Peebles & Xie 2022 (DiT), models.py; with a base size PixArt-alpha's.

    >>> sincos_table(2, 3, 4)[:, :, 0].round(2).tolist()  # the column's sine
    [[0.0, 0.8399999737739563, 0.9100000262260437], [0.0, 0.8399999737739563, 0.9100000262260437]]
    """
    one = np.float32(1)
    down, along = (
        np.arange(n, dtype=np.float32)
        / (one if base_size is None else np.float32(n / base_size))
        / np.float32(scale)
        for n in (rows, columns)
    )
    half = (rows, columns, width // 2)
    parts = [
        np.broadcast_to(_sines(along, width // 2)[None], half),
        np.broadcast_to(_sines(down, width // 2)[:, None], half),
    ]
    return np.concatenate(parts, axis=-1).astype(np.float32)
