"""The built-in data set is a pure function of (seed, index)."""

import numpy as np
import pytest

from diffusion_jax.data.dataset import datasets
from diffusion_jax.data.example import caption_of
from diffusion_jax.data.indexed_random import uniforms
from diffusion_jax.errors import UserError
from diffusion_jax.networks.tokenizers import Words


def make(**settings):
    listed = ", ".join(f"{name}={value!r}" for name, value in settings.items())
    return datasets.make(f"shapes({listed})")


def test_examples_depend_on_seed_and_index_alone():
    first, again, other = make(seed=1), make(seed=1), make(seed=2)
    np.random.seed(0)  # noqa: NPY002
    together = first.train.__getitems__([5, 900, 7])
    np.random.seed(1)  # noqa: NPY002
    alone = [again.train[index] for index in (5, 900, 7)]
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_array_equal(a["image"], b["image"])
        assert (caption_of(a), a["label"]) == (caption_of(b), b["label"])
    assert any(caption_of(other.train[i]) != caption_of(first.train[i]) for i in range(5))


def test_pictures_of_a_caption_differ():
    examples = make(terse=0.0).train.__getitems__(range(2000))
    by_caption = {}
    for example in examples:
        by_caption.setdefault(caption_of(example), set()).add(example["image"].tobytes())
    assert all(len(pictures) > 1 for pictures in by_caption.values())


@pytest.mark.parametrize("level", ["one", "two"])
def test_train_and_test_share_no_caption(level):
    data = make(level=level, count=3000, test_count=3000)
    train = {caption_of(example) for example in data.train.__getitems__(range(3000))}
    test = {caption_of(example) for example in data.test.__getitems__(range(3000))}
    assert not train & test
    assert test <= set(data.held_out_captions) == set(data.prompts)
    if level == "one":
        assert test == set(data.held_out_captions)
    assert {word for caption in test for word in caption.split()} <= set(
        Words().fit(data.captions).words
    )


def test_some_captions_leave_the_place_open():
    data = make(terse=0.2, count=2000)
    terse = [len(caption_of(e).split()) == 4 for e in data.train.__getitems__(range(2000))]
    assert abs(np.mean(terse) - 0.2) < 0.04
    Words().fit(data.captions).encode("a large green triangle")


def test_captions_are_equally_frequent():
    data = make(terse=0.0, count=12_000)
    captions = [caption_of(example) for example in data.train.__getitems__(range(12_000))]
    counts = np.unique(captions, return_counts=True)[1]
    assert len(counts) == 120
    assert ((counts - 100) ** 2 / 100).sum() < 119 + 4 * np.sqrt(2 * 119)  # chi-squared, 4 sigma


def test_uniforms_are_uniform_and_independent():
    u = uniforms(7, np.arange(50_000), 3)
    np.testing.assert_allclose(
        np.quantile(u, [0.1, 0.5, 0.9], axis=0).T, [[0.1, 0.5, 0.9]] * 3, atol=0.01
    )
    table = np.concatenate([u, uniforms(8, np.arange(50_000), 1), np.roll(u[:, :1], 1, 0)], 1)
    np.testing.assert_allclose(np.corrcoef(table.T), np.eye(5), atol=0.02)


def test_indices_outside():
    with pytest.raises(IndexError, match=r"0\.\.9"):
        make(count=10).train[10]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"level": "three"}, "level of shapes 'three'"),
        ({"size": 8}, "size=8.*12 or more"),
        ({"count": 0}, "count=0.*positive"),
        ({"terse": 1.5}, "terse=1.5"),
        ({"levle": "one"}, "Did you mean 'level'"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(UserError, match=message):
        make(**settings)
