"""Tables of places of a picture's cells, resampled for pictures of other sizes."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64

# Of the cubic: PyTorch's, and where it widens the cubic against aliasing, Pillow's.
PLAIN, WIDENED = -0.75, -0.5


def resampled_places(
    table: Float[Array, "rows columns width"],
    rows: int,
    columns: int,
    offset: float = 0.0,
    widened: bool = False,
) -> Float[Array, "new_rows new_columns width"]:
    """A table of places for a grid of another size, cubic in both directions.

    Args:
        table: of the size that was trained.
        rows, columns: wanted.
        offset: added to the wanted size before it is divided by that of the table, which moves
            what is read a little.
        widened: where the grid becomes coarser, take the mean over as much more.

    Source: Keys 1981, Cubic Convolution Interpolation, eq. 15; PyTorch's interpolate(mode=
    "bicubic"), without and with antialias; Oquab et al. 2023 (DINOv2), their repository, of offset.
    """
    if table.shape[:2] == (rows, columns):
        return table
    down, across = (
        jnp.asarray(cubic_weights(old, new, old / (new + offset), widened), table.dtype)
        for old, new in zip(table.shape[:2], (rows, columns), strict=True)
    )
    return jnp.einsum("ij,kl,jlw->ikw", down, across, table)


def cubic_weights(old: int, new: int, step: float, widened: bool) -> Float64[np.ndarray, "new old"]:
    """The share of each old cell in each new one.

    Args:
        old, new: how many cells.
        step: old cells from one new cell to the next.
        widened: as of `resampled_places`.

    >>> cubic_weights(2, 4, 0.5, False)[0].round(4).tolist()
    [1.1055, -0.1055]
    """
    found = np.zeros((new, old))
    for i in range(new):
        centre = step * (i + 0.5)
        if widened:
            wide = max(step, 1.0)
            first = max(int(centre - 2 * wide + 0.5), 0)
            cells = np.arange(first, min(int(centre + 2 * wide + 0.5), old))
            shares = _cubic((cells + 0.5 - centre) / wide, WIDENED)
            found[i, cells] = shares / shares.sum()
        else:
            cells = int(np.floor(centre - 0.5)) + np.arange(-1, 3)
            shares = _cubic(cells + 0.5 - centre, PLAIN)
            np.add.at(found[i], np.clip(cells, 0, old - 1), shares)
    return found


def _cubic(x: Float64[np.ndarray, " cells"], a: float) -> Float64[np.ndarray, " cells"]:
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x**2 + 1
    far = ((x - 5) * x + 8) * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
