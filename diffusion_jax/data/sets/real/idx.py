"""The IDX format of MNIST and its descendants.

A file is two zero bytes, a type byte (8: unsigned bytes), the number of axes, the axes'
lengths as big-endian 32-bit integers, then the numbers (LeCun, "The MNIST database").
"""

import math
import struct
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from diffusion_jax.data.sets.real.contents import read_whole
from diffusion_jax.data.sets.real.raw import Arrays, Paths
from diffusion_jax.errors import UserError

PREFIX = {"train": "train", "test": "t10k"}
AXES = (1, 3)  # of labels, of pictures
MOST = 1_000_000 * 28**2 + 16  # bytes; the largest of EMNIST's files holds 697,932 pictures
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
    """The array of bytes in an IDX file of pictures or labels, which gzip may have packed.

    Raises:
        UserError: the file is not a whole IDX file of unsigned bytes.
    """
    content = read_whole(path, MOST)
    try:
        zeros, kind, axes = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{axes}I", content, 4)
    except struct.error as error:
        raise UserError(f"Cannot read {path}: it is cut short.") from error
    start = 4 + 4 * axes
    whole = axes in AXES and len(content) - start == math.prod(shape)
    if (zeros, kind) != (0, 8) or not whole:
        raise UserError(f"{path} is not a whole IDX file of unsigned bytes.")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
