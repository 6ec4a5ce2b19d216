"""The checker reads real pictures, and is not fooled by others."""

import dataclasses

import numpy as np
import pytest

from diffusion_jax.data.example import caption_of
from diffusion_jax.data.sets.shapes.captions import read, write
from diffusion_jax.data.sets.shapes.checker import check
from diffusion_jax.data.sets.shapes.render import render
from diffusion_jax.data.sets.shapes.scene import COLOURS, LEVELS, SHAPES, SIZES, scenes
from diffusion_jax.data.sets.shapes.source import ShapesSource

COUNT = 200


def real(level, size):
    source = ShapesSource(scenes(level), COUNT, size, seed=3)
    examples = source.__getitems__(range(COUNT))
    return np.stack([e["image"] for e in examples]), [caption_of(e) for e in examples]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("size", [12, 16, 45])
def test_real_pictures_are_right(level, size):
    # Measured: 100% of 1000 for both levels at 12, 16, 24, 32 and 64 pixels.
    images, captions = real(level, size)
    assert check(images, captions)["all"].mean() >= 0.98


@pytest.mark.parametrize("level", LEVELS)
def test_noise_and_blur_are_borne(level):
    images, captions = real(level, 16)
    values = images.astype(np.float32)
    noisy = values + np.random.default_rng(0).normal(0, 20, values.shape)
    assert check(to_bytes(noisy), captions)["all"].mean() >= 0.97
    around = [np.roll(values, step, axis) for step in (-1, 1) for axis in (1, 2)]
    assert check(to_bytes((2 * values + sum(around)) / 6), captions)["all"].mean() >= 0.97
    dim = 0.7 * values
    assert check(to_bytes(dim), captions)["all"].mean() >= 0.97


def to_bytes(values):
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("level", LEVELS)
def test_nothing_is_seen_where_nothing_is(level):
    images, captions = real(level, 16)
    rng = np.random.default_rng(0)
    blank = np.broadcast_to(rng.integers(0, 256, (COUNT, 1, 1, 3), np.uint8), images.shape)
    noise = rng.integers(0, 256, images.shape, np.uint8)
    faint = np.full_like(images, 22)
    for pictures in (blank, noise, faint):
        assert not any(right.any() for right in check(pictures, captions).values())


@pytest.mark.parametrize("level", LEVELS)
def test_pictures_of_other_captions_are_right_by_chance_at_most(level):
    images, captions = real(level, 16)
    assert check(images, captions[7:] + captions[:7])["all"].mean() <= 4 / 150


def test_one_wrong_attribute_is_named():
    others = {"size": SIZES, "colour": COLOURS, "shape": SHAPES}
    for scene in scenes("one")[::7]:
        picture = render([scene], np.zeros((1, 1, 2), np.float32), 16)
        (thing,) = scene.things
        for name, values in others.items():
            for value in set(values) - {getattr(thing, name)}:
                asked = dataclasses.replace(
                    scene, things=(dataclasses.replace(thing, **{name: value}),)
                )
                assert wrong(check(picture, [write(asked)])) == {name, "all"}
        for other in {other.where for other in scenes("one")} - {scene.where}:
            asked = dataclasses.replace(scene, where=other)
            assert wrong(check(picture, [write(asked)])) == {"place", "all"}


def wrong(result):
    return {name for name, right in result.items() if not right.all()}


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a small red circle above a large blue square", set()),
        ("a large blue square below a small red circle", set()),
        ("a small red circle and a large blue square", set()),
        ("a small red circle below a large blue square", {"relation", "all"}),
        ("a small red circle left of a large blue square", {"relation", "all"}),
        ("a small blue circle above a large red square", {"colour", "all"}),
        ("a small red triangle above a large blue square", {"shape", "all"}),
        ("a large red circle above a small blue square", {"size", "all"}),
        ("a small yellow circle above a large blue triangle", {"colour", "shape", "all"}),
    ],
)
def test_two_things(caption, expected):
    scene = read("a small red circle above a large blue square")
    picture = render([scene], np.zeros((1, 2, 2), np.float32), 24)
    assert wrong(check(picture, [caption])) == expected


def test_captions_of_both_levels_in_one_call():
    captions = ["a small red circle in the centre", "a small red circle above a large blue square"]
    pictures = [
        render([read(c)], np.zeros((1, n, 2), np.float32), 16) for n, c in enumerate(captions, 1)
    ]
    assert check(np.concatenate(pictures), captions)["all"].all()


def test_no_pictures():
    assert check(np.zeros((0, 16, 16, 3), np.uint8), [])["all"].shape == (0,)
