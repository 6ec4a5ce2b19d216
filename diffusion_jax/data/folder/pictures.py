"""Files of pictures as arrays of one size."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from diffusion_jax.errors import UserError

MODES = {1: "L", 3: "RGB"}


def load_pictures(
    paths: Sequence[Path], size: int, channels: int
) -> UInt8[np.ndarray, "n {size} {size} {channels}"]:
    """Reads pictures, cuts out their central squares, and resizes those.

    Transparent parts become white. Files are read in threads, since decoders release Python's
    lock.

    Args:
        paths: of n pictures in any format that Pillow reads.
        size: pixels along an edge.
        channels: 1 (grey) or 3.

    Raises:
        UserError: a file is not a whole picture; the message names it.
    """
    with ThreadPoolExecutor() as threads:
        pictures = list(threads.map(lambda path: _load(path, size, MODES[channels]), paths))
    return np.stack(pictures).reshape(len(paths), size, size, channels)


def _load(path: Path, size: int, mode: str) -> np.ndarray:
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"Cannot read the picture {path}: {error}.") from error
    square = ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)
    white = Image.new("RGBA", square.size, "white")
    return np.asarray(Image.alpha_composite(white, square).convert(mode))
