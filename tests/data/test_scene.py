"""The built-in set's combinations: a fifth is held out, no word is."""

import collections
import itertools

import pytest

from diffusion_jax.data.sets.shapes.captions import read, write
from diffusion_jax.data.sets.shapes.scene import LEVELS, is_held_out, readings, scenes
from diffusion_jax.errors import UserError


@pytest.mark.parametrize("level", LEVELS)
def test_a_fifth_is_held_out(level):
    everything = scenes(level)
    assert 5 * sum(map(is_held_out, everything)) == len(everything) == len(set(everything))


def test_every_pair_of_words_is_seen_in_training_and_a_fifth_of_it_held_out():
    def words(scene):
        (thing,) = scene.things
        return thing.size, thing.colour, thing.shape, scene.where

    seen, unseen = collections.Counter(), collections.Counter()
    for scene in scenes("one"):
        for pair in itertools.combinations(words(scene), 2):
            (unseen if is_held_out(scene) else seen)[pair] += 1
    # Size and shape are fewer than five, so only their pairs with colours or places are even.
    assert min(seen.values()) >= 3
    assert all(pair in seen for pair in unseen)


@pytest.mark.parametrize("level", LEVELS)
def test_every_value_of_every_attribute_is_seen_in_training(level):
    def values(part):
        things = {
            (n, word) for s in part for n, t in enumerate(s.things) for word in vars(t).values()
        }
        return things | {scene.where for scene in part}

    everything = scenes(level)
    assert values([s for s in everything if not is_held_out(s)]) == values(everything)


def test_two_ways_to_say_the_same_are_held_out_together():
    for scene in scenes("two")[::7]:
        first, second = readings(scene)
        assert is_held_out(first) == is_held_out(second)
        picture = dict(zip(first.directions, first.things, strict=True))
        assert picture == dict(zip(second.directions, second.things, strict=True))


@pytest.mark.parametrize("level", LEVELS)
def test_captions_say_scenes(level):
    for scene in scenes(level):
        assert read(write(scene)) == scene


def test_captions_may_leave_open_where_things_are():
    assert read("A large  green triangle").where is None
    assert read("a small red circle and a large blue square").where is None


@pytest.mark.parametrize(
    "caption", ["", "a red circle", "a small red circle above", "a small red circle on the moon"]
)
def test_other_captions_are_refused(caption):
    with pytest.raises(UserError, match="write it like"):
        read(caption)


def test_unknown_level():
    with pytest.raises(UserError, match=r"'three'.*one, two"):
        scenes("three")
