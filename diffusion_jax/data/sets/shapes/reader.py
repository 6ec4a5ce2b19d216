"""Reads a picture back: which things does it show, and where?

Every thing that can stand in a direction is drawn as a template m (a coverage mask) for each
size, shape and a grid of displacements. A picture minus its background, y, is explained by a
template in the free colour c that fits best:

    min_c |y - m c|² = |y|² - |m·y|² / |m|²,       c = m·y / |m|².

Directions that make up one arrangement of things do not overlap, so what they explain adds up.
The arrangement that explains most is what the picture shows, provided that it explains
`SEEN` of |y|²; colours are then read off c by their direction in colour space.
"""

import dataclasses
import functools
import itertools

import numpy as np
from jaxtyping import Float32, UInt8

from diffusion_jax.data.sets.shapes.render import (
    BACKGROUND,
    JITTER,
    PALETTE,
    RADIUS,
    centres,
    coverage,
)
from diffusion_jax.data.sets.shapes.scene import (
    ARRANGEMENTS,
    COLOURS,
    SHAPES,
    SIZES,
    Direction,
    Scene,
    Thing,
)

SEEN = 0.6  # share of the picture's energy that must be explained to call it a scene
GRID = 5  # displacements tried along each axis
FAINT = 100.0  # sum of squares per pixel below which a picture is empty; real ones have > 1000
_GROUND = np.asarray(BACKGROUND, np.float32)
CHUNK = 256  # pictures read at a time, to bound memory


@dataclasses.dataclass(frozen=True)
class _Templates:
    """All looks of a thing that stands in one direction: unit masks and what they mean."""

    masks: Float32[np.ndarray, "looks pixels"]
    kinds: list[tuple[str, str]]  # (size, shape) of each look


def describe(images: UInt8[np.ndarray, "n size size 3"], things: int) -> list[Scene | None]:
    """What each picture shows.

    Args:
        images: pictures at least 12 pixels wide.
        things: how many things a picture is expected to show, 1 or 2.

    Returns:
        A scene for each picture, None where nothing of the kind can be recognised.

    >>> from diffusion_jax.data.sets.shapes.captions import read
    >>> from diffusion_jax.data.sets.shapes.render import render
    >>> scene = read("a small red circle in the centre")
    >>> describe(render([scene], np.zeros((1, 1, 2), np.float32), 16), 1)[0] == scene
    True
    """
    return [
        scene
        for start in range(0, len(images), CHUNK)
        for scene in _describe(images[start : start + CHUNK], things)
    ]


def _describe(images: np.ndarray, things: int) -> list[Scene | None]:
    size = images.shape[1]
    y = images.reshape(len(images), -1, 3).astype(np.float32) - _GROUND
    directions = {d for arrangement in ARRANGEMENTS[things].values() for d in arrangement}
    found = {d: _best_look(y, _templates(size, things, d)) for d in directions}
    arrangements = list(ARRANGEMENTS[things].items())
    explained = np.stack([sum(found[d].energy for d in ds) for _, ds in arrangements])
    winner = explained.argmax(0)
    seen = explained.max(0) >= SEEN * np.maximum((y**2).sum((1, 2)), FAINT * size**2)
    return [
        Scene(tuple(found[d].things[n] for d in arrangements[w][1]), arrangements[w][0])
        if seen[n]
        else None
        for n, w in enumerate(winner)
    ]


@dataclasses.dataclass(frozen=True)
class _Found:
    energy: Float32[np.ndarray, " n"]
    things: list[Thing]


def _best_look(y: Float32[np.ndarray, "n pixels 3"], templates: _Templates) -> _Found:
    response = np.stack([y[..., c] @ templates.masks.T for c in range(3)], -1)
    energy = (response**2).sum(-1)
    look = energy.argmax(1)
    rows = np.arange(len(y))
    colours = _nearest_colours(response[rows, look])
    pairs = zip([templates.kinds[k] for k in look], colours, strict=True)
    things = [Thing(size, colour, shape) for (size, shape), colour in pairs]
    return _Found(energy[rows, look], things)


def _nearest_colours(inks: Float32[np.ndarray, "n 3"]) -> list[str]:
    palette = np.asarray([PALETTE[name] for name in COLOURS], np.float32) - _GROUND
    palette /= np.linalg.norm(palette, axis=1, keepdims=True)
    return [COLOURS[k] for k in (inks @ palette.T).argmax(1)]


@functools.lru_cache(maxsize=64)
def _templates(size: int, things: int, direction: Direction) -> _Templates:
    steps = np.linspace(-JITTER, JITTER, GRID, dtype=np.float32)
    jitter = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    masks, kinds = [], []
    for name, shape in itertools.product(SIZES, SHAPES):
        radii = np.full(len(jitter), RADIUS[things][name], np.float32)
        standing = np.broadcast_to(np.asarray(direction, np.float32), jitter.shape)
        looks = coverage(shape, radii, centres(standing, radii) + jitter, size)
        masks.append(looks.reshape(len(jitter), -1))
        kinds += [(name, shape)] * len(jitter)
    flat = np.concatenate(masks)
    return _Templates(flat / np.linalg.norm(flat, axis=1, keepdims=True), kinds)
