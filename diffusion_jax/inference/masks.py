"""Inpainting masks from files."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool

from diffusion_jax.data.pictures import load_pictures
from diffusion_jax.errors import UserError

WHITE = 128  # the least grey, of 255, that counts as white


def load_mask(path: str | Path, shape: tuple[int, ...]) -> Bool[np.ndarray, "height width 1"]:
    """What of a picture is kept: where the mask is black.

    White is painted anew, as inpainting tools have it. Greys from 128 of 255 on are white. A mask
    of another size must have the picture's proportions; where it is larger, a pixel is white if
    half of it is.

    Args:
        path: of a picture in any format that Pillow reads.
        shape: of the pictures that it masks, (height, width, channels).

    Raises:
        UserError: it is no picture, of other proportions, all black, or all white.
    """
    height, width, _ = shape
    own = picture_size(Path(path))
    if own[0] * height != own[1] * width:
        raise UserError(
            f"The mask {path} has {own[0]}×{own[1]} pixels, and pictures have {width}×{height}: "
            "their proportions must be the same."
        )
    grey = load_pictures([Path(path)], own[::-1], 1)[0, :, :, 0]
    white = _resized(grey >= WHITE, height, width)[:, :, None]
    if white.all() or not white.any():
        colour, whole = ("white", "kept") if white.all() else ("black", "painted anew")
        raise UserError(
            f"The mask {path} is all {colour}, so that nothing would be {whole}: white is painted "
            "anew, black is kept."
        )
    return ~white


def _resized(
    white: Bool[np.ndarray, "_ _"], height: int, width: int
) -> Bool[np.ndarray, "{height} {width}"]:
    from PIL import Image

    plain = Image.fromarray(white.astype(np.uint8) * 255)
    return np.asarray(plain.resize((width, height), Image.Resampling.BOX)) >= WHITE - 1


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture in pixels, as the file's head says.

    Raises:
        UserError: it is no picture.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            return opened.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        said = "it is no picture" if isinstance(error, UnidentifiedImageError) else error
        raise UserError(f"Cannot read the picture {path}: {said}.") from error
