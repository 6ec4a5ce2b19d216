"""Files of pictures as arrays of one size."""

import hashlib
import io
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from diffusion_jax.data.sets.folder.eight_bits import eight_bits
from diffusion_jax.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
THREADS = 8  # at most; each may take 200 MB to decode, convert and resize what is not large
LARGE = 2**24  # pixels; of larger JPEGs only as much is decoded as is needed
LARGE_FILE, LARGEST_FILE = 2**26, 2**30  # bytes
FINER = 4  # times the edge that is wanted, to be on the safe side


Size = tuple[int, int]
"""Height and width."""


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
            if header.format == "EPS":
                raise UserError("it is a PostScript program, which is not run")
        if not large and (pixels > LARGE or length > LARGE_FILE):
            return None
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as opened:
            picture = fitted(opened, size, channels)
        return picture, hashlib.sha256(content).hexdigest()
    except Exception as error:  # whatever the decoder of a damaged file stumbles over
        reason = (str(error).splitlines() or [""])[0][:200].rstrip(".") or type(error).__name__
        raise UserError(f"Cannot read the picture {path}: {reason}.") from error


def fitted(opened: "Image.Image", size: Size, channels: int) -> UInt8[np.ndarray, "_ _ {channels}"]:
    """The middle of a picture in 8 bits a channel, see `read_pictures`."""
    from PIL import Image, ImageOps

    if opened.width * opened.height > LARGE:
        opened.draft(None, (FINER * size[1], FINER * size[0]))
    opened.load()  # some decoders change the mode
    ImageOps.exif_transpose(opened, in_place=True)
    middle = ImageOps.fit(eight_bits(opened), size[::-1], Image.Resampling.LANCZOS)
    if channels in (1, 3):
        if middle.mode == "RGBA":
            middle = Image.alpha_composite(Image.new("RGBA", middle.size, "white"), middle)
        return np.asarray(middle.convert(MODES[channels])).reshape(*size, channels)
    values = np.array(middle.convert("RGBA").convert(MODES[channels]))
    values[values[..., -1] == 0] = 0
    return values
