"""Pictures as coarser grids of patches, and back."""

from jaxtyping import Array, Float


def to_patches(
    x: Float[Array, "batch height width channels"], patch: int
) -> Float[Array, "batch rows columns features"]:
    """Folds each patch x patch square of pixels into the channels of one cell.

    >>> import jax.numpy as jnp
    >>> to_patches(jnp.zeros((1, 8, 4, 3)), 2).shape
    (1, 4, 2, 12)
    """
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // patch, patch, width // patch, patch, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, height // patch, width // patch, patch * patch * channels)


def from_patches(
    x: Float[Array, "batch rows columns features"], patch: int
) -> Float[Array, "batch height width channels"]:
    """Undoes `to_patches`."""
    batch, rows, columns, features = x.shape
    channels = features // patch**2
    x = x.reshape(batch, rows, columns, patch, patch, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, rows * patch, columns * patch, channels)
