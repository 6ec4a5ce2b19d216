"""Data sets of arrays in memory, and what cannot be one."""

import numpy as np
import pytest

from diffusion_jax.data.arrays import arrays
from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import caption_of, label_of, values_of
from diffusion_jax.data.pipeline import batches
from diffusion_jax.errors import UserError

PICTURES = np.random.default_rng(0).integers(0, 256, (40, 8, 12, 3), np.uint8)


def everything(data):
    return [source[k] for source in (data.train, data.test) for k in range(len(source))]


def test_rows_belong_together():
    captions = [f"number {k}" for k in range(40)]
    data = arrays(PICTURES, captions, np.arange(40) % 3, depth=np.arange(40.0))
    assert data.shape == (8, 12, 3) and data.class_names == ("0", "1", "2")
    assert len(data.test) > 0 and data.prompts == tuple(captions)
    found = sorted(everything(data), key=lambda example: example["key"])
    for key, example in enumerate(found):
        assert example["key"] == key == example["depth"]
        assert (caption_of(example), label_of(example)) == (f"number {key}", key % 3)
        np.testing.assert_array_equal(example["image"], PICTURES[key])


def test_vectors_need_nothing_else():
    data = arrays(np.arange(6.0).reshape(3, 2), held_out=0.0)
    assert (len(data.train), len(data.test), data.num_classes) == (3, 0, 0)
    assert (data.form, data.has_pictures) == ("vectors of 2", False)
    assert caption_of(data.train[0]) == "" and label_of(data.train[0]) == -1
    assert values_of([data.train[2]]).tolist() == [[4.0, 5.0]]


def test_sequences_are_vectors_of_two_axes():
    walks = np.random.default_rng(0).normal(size=(20, 16, 3))
    data = arrays(walks, wind=np.ones((20, 4)), held_out=0.0)
    assert (data.shape, data.form, data.has_pictures) == ((16, 3), "vectors of 16×3", False)
    first = next(batches(data.train, lambda examples: {}, batch_size=20, seed=0))["x0"]
    assert np.array_equal(np.sort(first, axis=0), np.sort(walks.astype(np.float32), axis=0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"x0": np.zeros((4, 8, 8, 5), np.uint8)}, "uint8 of shape .*1 to 4 channels"),
        ({"x0": np.zeros((4, 8, 8, 3))}, "float64 of shape .*pictures, uint8"),
        ({"x0": np.zeros((4, 8, 8, 3))}, "with latents=True latents, float"),
        ({"latents": True}, "uint8 of shape"),
        ({"x0": np.zeros((4, 2)), "latents": True}, "float64 of shape"),
        ({"x0": np.zeros((4, 2), int)}, "int64 of shape .*vectors, float"),
        ({"captions": ["a"]}, "40 examples, and 1 captions"),
        ({"labels": [0] * 39}, "40 examples, and 39 labels"),
        ({"depth": np.zeros(3)}, "40 examples, and 3 depth"),
        ({"labels": [5] * 40, "class_names": ("a",)}, "A label is 5, and there are 1 class"),
        ({"held_out": 1.0}, "held_out=1.0 is not a share"),
        ({"image": np.zeros(40)}, "cannot be called 'image'"),
    ],
)
def test_what_cannot_be_a_data_set(settings, message):
    with pytest.raises(UserError, match=message):
        arrays(**{"x0": PICTURES} | settings)


def test_examples_that_do_not_fit_together():
    with pytest.raises(UserError, match="has no 'image'"):
        values_of([{"image": PICTURES[0]}, {"vector": np.zeros(2)}])
    with pytest.raises(UserError, match=r"shape of their 'image': \[\(8, 6, 3\), \(8, 12, 3\)"):
        values_of([{"image": PICTURES[0]}, {"image": PICTURES[0][:, :6]}])


def test_a_list_is_enough():
    data = Dataset("mine", [{"image": PICTURES[0]}], PICTURES.shape[1:])
    assert data.form == "pictures of 8×12" and not len(data.test)
