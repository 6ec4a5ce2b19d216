"""Scenes as anti-aliased pictures.

Lengths are in picture widths, the origin is the top left corner, y points down. A thing is the
set where a signed distance d is negative, and a pixel of width w is covered by
clip(1/2 - d/w, 0, 1): exact for upright edges, close for others, and a quarter of a pixel too
much at sharp corners. So pictures carry sub-pixel positions even where they are 12 pixels wide.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, UInt8

from diffusion_jax.data.sets.shapes.scene import SHAPES, Scene

BACKGROUND = (20, 20, 30)
PALETTE = {
    "red": (235, 50, 50),
    "yellow": (245, 220, 50),
    "green": (50, 200, 80),
    "blue": (50, 100, 250),
    "purple": (205, 70, 230),
}
# Half the width of a thing, by the number of things in the picture.
RADIUS = {1: {"small": 0.18, "large": 0.28}, 2: {"small": 0.13, "large": 0.21}}
MARGIN = 0.04  # between a thing and the edge it stands at, before jitter
JITTER = 0.04  # largest displacement along each axis; things stay inside the picture


def centres(
    directions: Float32[np.ndarray, "n 2"], radii: Float32[np.ndarray, " n"]
) -> Float32[np.ndarray, "n 2"]:
    """The middles (x, y) of things of some radii that stand in some directions, before jitter.

    >>> centres(np.float32([[-1, 1]]), np.float32([0.21]))
    array([[0.25, 0.75]], dtype=float32)
    """
    return np.float32(0.5) + directions * (np.float32(0.5 - MARGIN) - radii)[:, None]


def coverage(
    shape: str,
    radii: Float32[np.ndarray, " n"],
    middles: Float32[np.ndarray, "n 2"],
    size: int,
) -> Float32[np.ndarray, "n {size} {size}"]:
    """How much of each pixel a shape covers.

    The square fills the box of half width `radii` around its middle, the circle touches the
    sides of that box, the triangle stands on its base and reaches the middle of its top.

    Args:
        shape: one of `SHAPES`.
        radii: half the widths, in picture widths.
        middles: (x, y) in picture widths.
        size: pixels along an edge.

    Returns:
        Shares in [0, 1], indexed (n, y, x).

    >>> coverage("square", np.float32([0.25]), np.float32([[0.5, 0.5]]), 4)[0, 1]
    array([0., 1., 1., 0.], dtype=float32)
    """
    pixels = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    x = (pixels - middles[:, :1])[:, None, :]
    y = (pixels - middles[:, 1:])[:, :, None]
    distance = _distance(shape, radii[:, None, None], x, y)
    return np.clip(np.float32(0.5) - np.float32(size) * distance, 0, 1)


def _distance(shape: str, radius: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if shape == "circle":
        return np.sqrt(x**2 + y**2) - radius
    if shape == "square":
        return np.maximum(np.abs(x), np.abs(y)) - radius
    sides = (2 * np.abs(x) - y - radius) / np.sqrt(np.float32(5))
    return np.maximum(sides, y - radius)


def render(
    scenes: Sequence[Scene], offsets: Float32[np.ndarray, "n things 2"], size: int
) -> UInt8[np.ndarray, "n {size} {size} 3"]:
    """Draws scenes.

    Args:
        scenes: n scenes of the same number of things.
        offsets: displacement (x, y) of every thing in units of `JITTER`, in [-1, 1].
        size: pixels along an edge.

    >>> from diffusion_jax.data.sets.shapes.captions import read
    >>> scene = read("a small red circle in the centre")
    >>> render([scene], np.zeros((1, 1, 2), np.float32), 16)[0, 8, 8]
    array([235,  50,  50], dtype=uint8)
    """
    background = np.asarray(BACKGROUND, np.float32)
    pictures = np.tile(background, (len(scenes), size, size, 1))
    for index in range(offsets.shape[1]):
        things = [scene.things[index] for scene in scenes]
        radii = _array([RADIUS[offsets.shape[1]][thing.size] for thing in things])
        directions = _array([scene.directions[index] for scene in scenes])
        middles = centres(directions, radii) + np.float32(JITTER) * offsets[:, index]
        inks = _array([PALETTE[thing.colour] for thing in things]) - background
        for shape in SHAPES:
            rows = [n for n, thing in enumerate(things) if thing.shape == shape]
            if rows:
                masks = coverage(shape, radii[rows], middles[rows], size)
                pictures[rows] += masks[..., None] * inks[rows, None, None, :]
    return np.rint(pictures).astype(np.uint8)


def _array(values: list) -> np.ndarray:
    return np.asarray(values, np.float32)
