"""Files of pictures as arrays of one size."""

import hashlib
import io
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from diffusion_jax.data.pictures.fit import LARGE, Size, check_plain, fitted, reason_of
from diffusion_jax.errors import UserError

THREADS = 8  # at most; each may take 200 MB to decode, convert and resize what is not large
LARGE_FILE, LARGEST_FILE = 2**26, 2**30  # bytes


def load_pictures(
    paths: Sequence[Path], size: Size, channels: int
) -> UInt8[np.ndarray, "n height width {channels}"]:
    """The pictures of `read_pictures` alone."""
    return read_pictures(paths, size, channels)[0]


def read_pictures(
    paths: Sequence[Path], size: Size, channels: int
) -> tuple[UInt8[np.ndarray, "n height width {channels}"], list[str]]:
    """Reads pictures, cuts out the largest middle part of the shape that is wanted, and resizes it.

    Modes become 8 bits as `eight_bits` says. Of an animation the first frame is taken; a picture
    is turned as its EXIF data says. With 1 or 3 channels transparent parts become white; with 2 or
    4 the last channel is the opacity, and what is wholly transparent is black.

    Files are read in threads, since decoders release Python's lock, and large ones afterwards, one
    at a time. A file over 1 GiB, or of over 178 million pixels, is refused before it is decoded,
    and so are PostScript programs.

    Args:
        paths: of n pictures in any format that Pillow reads.
        size: height and width.
        channels: 1 (grey), 2 (grey and opacity), 3 (RGB) or 4 (RGB and opacity).

    Returns:
        The pictures, and the SHA-256 of each file.

    Raises:
        UserError: a file is not a whole picture, too large, or of a mode that says not how bright
            its pixels are; the message names it.
    """
    from PIL import Image

    pictures = np.empty((len(paths), *size, channels), np.uint8)
    digests = [""] * len(paths)

    def read(index: int, large: bool) -> None:
        found = _read(paths[index], size, channels, large)
        if found is not None:
            pictures[index], digests[index] = found

    with warnings.catch_warnings():
        # Pillow warns of half the pixels that it refuses; memory is seen to here.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as threads:
            reading = [threads.submit(read, index, False) for index in range(len(paths))]
            try:
                for each in reading:
                    each.result()
            except BaseException:
                threads.shutdown(cancel_futures=True)
                raise
        for index, digest in enumerate(digests):
            if not digest:
                read(index, True)
    return pictures, digests


def _read(path: Path, size: Size, channels: int, large: bool) -> tuple[np.ndarray, str] | None:
    """A picture and its file's SHA-256; None if it is large and that is not wanted."""
    from PIL import Image

    try:
        length = path.stat().st_size
        if length > LARGEST_FILE:
            raise UserError(f"it has {length:,} bytes, more than {LARGEST_FILE:,}")
        with Image.open(path) as header:
            pixels = header.width * header.height
            check_plain(header)
        if not large and (pixels > LARGE or length > LARGE_FILE):
            return None
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as opened:
            picture = fitted(opened, size, channels)
        return picture, hashlib.sha256(content).hexdigest()
    except Exception as error:  # whatever the decoder of a damaged file stumbles over
        raise UserError(f"Cannot read the picture {path}: {reason_of(error)}.") from error
