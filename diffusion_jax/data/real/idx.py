"""The IDX format of MNIST and its descendants.

A file is two zero bytes, a type byte (8: unsigned bytes), the number of axes, the axes'
lengths as big-endian 32-bit integers, then the numbers (LeCun, "The MNIST database").
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from diffusion_jax.data.real.raw import Arrays, Paths
from diffusion_jax.errors import UserError

PREFIX = {"train": "train", "test": "t10k"}
IMAGES, LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"


def locate(folder: Path) -> Paths | None:
    """The four files of a set in a folder, compressed or not, by their names without `.gz`."""
    names = [f"{prefix}-{kind}" for prefix in PREFIX.values() for kind in (IMAGES, LABELS)]
    found = {}
    for name in names:
        candidates = [folder / f"{name}.gz", folder / name]
        found[name] = next((path for path in candidates if path.is_file()), None)
    return {k: v for k, v in found.items() if v} if all(found.values()) else None


def read(paths: Paths, split: str) -> Arrays:
    """The pictures (n, h, w, 1) and labels of a split, "train" or "test".

    Raises:
        UserError: a file is damaged, or pictures and labels differ in number.
    """
    by_name = {name.removesuffix(".gz"): path for name, path in paths.items()}
    images_path, labels_path = (by_name[f"{PREFIX[split]}-{kind}"] for kind in (IMAGES, LABELS))
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise UserError(
            f"{images_path} holds an array {images.shape} and {labels_path} one {labels.shape}; "
            "expected (n, height, width) pictures and (n,) labels."
        )
    return images[..., None], labels.astype(np.int64)


def read_idx(path: Path) -> UInt8[np.ndarray, "..."]:
    """The array of bytes in an IDX file, which may be compressed with gzip.

    Raises:
        UserError: the file is not a whole IDX file of unsigned bytes.
    """
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
        zeros, kind, axes = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{axes}I", content, 4)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise UserError(f"Cannot read {path}: {error or 'it is cut short'}.") from error
    start = 4 + 4 * axes
    if (zeros, kind) != (0, 8) or len(content) - start != math.prod(shape):
        raise UserError(f"{path} is not a whole IDX file of unsigned bytes.")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
