"""Pictures as tokens of whole patches, with the pixels of a channel side by side."""

from jaxtyping import Array, Float


def packed(
    x: Float[Array, "batch height width channels"], patch: int
) -> Float[Array, "batch tokens features"]:
    """Each patch as a token, (channel, row, column) within it, as FLUX and PRX have it.

    >>> import jax.numpy as jnp
    >>> packed(jnp.arange(8).reshape(1, 2, 2, 2).astype(float), 2).tolist()
    [[[0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 5.0, 7.0]]]
    """
    batch, height, width, channels = x.shape
    rows, columns = height // patch, width // patch
    x = x.reshape(batch, rows, patch, columns, patch, channels).transpose(0, 1, 3, 5, 2, 4)
    return x.reshape(batch, rows * columns, channels * patch**2)


def unpacked(
    tokens: Float[Array, "batch tokens features"], rows: int, patch: int
) -> Float[Array, "batch height width channels"]:
    """Undoes `packed`.

    Args:
        tokens: of all patches, row by row.
        rows: of patches.
        patch: side of a patch.
    """
    batch, count, features = tokens.shape
    columns, channels = count // rows, features // patch**2
    x = tokens.reshape(batch, rows, columns, channels, patch, patch).transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(batch, rows * patch, columns * patch, channels)
