"""Pictures are not mirrored where an arm is told what is left and what is right."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import base
from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.data.memory import ArraySource
from diffusion_jax.errors import UserError
from diffusion_jax.training.flip import check_flip
from diffusion_jax.training.loop import train


def made(captions: tuple[str, ...], class_names: tuple[str, ...] = ("thing",)) -> Dataset:
    source = ArraySource(np.zeros((1, 8, 8, 3), np.uint8), np.zeros(1, np.int64), captions[:1])
    return Dataset("made", source, (8, 8, 3), source, class_names, captions, captions)


@pytest.fixture
def config() -> ConfigDict:
    config = base.get_config()
    config.flip = True
    return config


@pytest.mark.parametrize("level", ["one", "two"])
def test_the_built_in_shapes(config: ConfigDict, level: str) -> None:
    config.data = f"shapes(level={level!r}, size=12)"
    with pytest.raises(UserError, match="flip=True .*arm 'cosine' reads captions that say 'left'"):
        train(config)
    config.arms = ConfigDict(
        {"none": {"conditioner": "none"}, "kinds": {"conditioner": "label(width=8)"}}
    )
    check_flip(config, datasets.make(config.data))
    config.arms.words = {"conditioner": "transformer(width=16)"}
    with pytest.raises(UserError, match="arm 'words' reads captions"):
        check_flip(config, datasets.make(config.data))


@pytest.mark.parametrize(
    "caption", ["the Left one", "a right-handed man", "turning clockwise", "the picture's right."]
)
def test_words_that_tell_sides(config: ConfigDict, caption: str) -> None:
    with pytest.raises(UserError, match="leave flip=False"):
        check_flip(config, made(("a cat", caption)))
    config.flip = False
    check_flip(config, made((caption,)))


def test_words_that_do_not(config: ConfigDict) -> None:
    check_flip(config, made(("a bright, upright clock", "copyright", "sinister cleft")))


def test_names_of_classes(config: ConfigDict) -> None:
    config.conditioner = "label(width=8)"
    check_flip(config, made(("left",)))
    with pytest.raises(UserError, match="reads class names that say 'left'"):
        check_flip(config, made(("a lung",), ("right lung", "left lung")[::-1]))
