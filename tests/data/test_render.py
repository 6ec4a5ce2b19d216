"""Drawn shapes have the area, the place and the colours that geometry gives them."""

import numpy as np
import pytest

from diffusion_jax.data.sets.shapes.captions import read
from diffusion_jax.data.sets.shapes.render import (
    BACKGROUND,
    MARGIN,
    PALETTE,
    RADIUS,
    coverage,
    render,
)
from diffusion_jax.data.sets.shapes.scene import SHAPES, scenes


@pytest.mark.parametrize(("shape", "area"), [("square", 4.0), ("circle", np.pi), ("triangle", 2.0)])
@pytest.mark.parametrize("size", [12, 16, 64])
def test_area(shape, area, size):
    rng = np.random.default_rng(0)
    radii = rng.uniform(0.2, 0.3, 50).astype(np.float32)
    middles = rng.uniform(0.35, 0.65, (50, 2)).astype(np.float32)
    drawn = coverage(shape, radii, middles, size).mean((1, 2))
    np.testing.assert_allclose(drawn / radii**2, area, atol=0.12 * 16 / size)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_picture_is_the_average_of_a_larger_one(shape):
    radii, middles = np.float32([0.21]), np.float32([[0.43, 0.56]])
    large = coverage(shape, radii, middles, 320).reshape(16, 20, 16, 20).mean((1, 3))
    error = np.abs(coverage(shape, radii, middles, 16)[0] - large)
    assert error.mean() < 0.006 and error.max() < 0.3


@pytest.mark.parametrize("level", ["one", "two"])
def test_things_stay_inside_and_apart(level):
    some = scenes(level)[:: 11 if level == "one" else 101]
    things = len(some[0].things)
    for corner in ([-1, -1], [1, 1], [-1, 1]):
        offsets = np.tile(np.float32(corner), (len(some), things, 1))
        moved = render(some, offsets, 100).sum((1, 2, 3), dtype=float)
        middle = render(some, 0 * offsets, 100).sum((1, 2, 3), dtype=float)
        np.testing.assert_allclose(moved, middle, rtol=2e-3)
        assert render(some, offsets, 100).max() <= 250  # colours of two things never add up


def test_colour_and_place():
    (picture,) = render(
        [read("a small purple square at the top right")], np.zeros((1, 1, 2), "f"), 50
    )
    radius = RADIUS[1]["small"]
    row, column = round(50 * (MARGIN + radius)), round(50 * (1 - MARGIN - radius))
    assert tuple(picture[row, column]) == PALETTE["purple"]
    assert tuple(picture[-1, 0]) == BACKGROUND
