"""Batches: the same whoever asks, from wherever they start."""

import itertools
import json

import jax
import numpy as np
import pytest

from diffusion_jax.data.example import caption_of, label_of, to_bytes, to_unit
from diffusion_jax.data.memory import ArraySource
from diffusion_jax.data.pipeline import batches
from diffusion_jax.errors import UserError
from diffusion_jax.networks.tokenizers import Words

COUNT = 10
TOKENIZER = Words().fit(["zero one two three four five six seven eight nine"])
SOURCE = ArraySource(
    np.random.default_rng(0).integers(0, 256, (COUNT, 4, 4, 3), np.uint8),
    np.arange(COUNT),
    TOKENIZER.words,
)


def encode(examples):
    return {
        "tokens": np.stack([TOKENIZER.encode(caption_of(example)) for example in examples]),
        "label": np.array([label_of(example) for example in examples], np.int32),
    }


def make(**settings):
    return batches(SOURCE, encode, **{"batch_size": 4, "seed": 0} | settings)


def take(iterator, count):
    return list(itertools.islice(iterator, count))


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        jax.tree.map(np.testing.assert_array_equal, a, b)


def test_a_batch_is_examples():
    batch = next(make())
    assert jax.tree.map(lambda a: (a.shape, str(a.dtype)), batch) == {
        "x0": ((4, 4, 4, 3), "float32"),
        "condition": {"tokens": ((4, 10), "int32"), "label": ((4,), "int32")},
    }
    condition = batch["condition"]
    for row, label in enumerate(condition["label"]):
        np.testing.assert_array_equal(to_bytes(batch["x0"][row]), SOURCE.values[label])
        np.testing.assert_array_equal(
            condition["tokens"][row], TOKENIZER.encode(TOKENIZER.words[label])
        )


def test_epochs_are_permutations_and_differ():
    labels = np.concatenate([batch["condition"]["label"] for batch in take(make(), 15)]).reshape(
        6, COUNT
    )
    assert (np.sort(labels) == np.arange(COUNT)).all()
    assert len({tuple(epoch) for epoch in labels}) == 6


def test_batches_of_one_take_the_same_order():
    singles = np.concatenate(
        [batch["condition"]["label"] for batch in take(make(batch_size=1), 40)]
    )
    np.testing.assert_array_equal(
        singles, np.concatenate([batch["condition"]["label"] for batch in take(make(), 10)])
    )


def test_what_is_not_finite_has_no_bytes():
    for value in (np.nan, np.inf, -np.inf):
        with pytest.raises(UserError, match="not finite"):
            to_bytes(np.float32([0.0, value]))


def test_seeds_differ():
    assert (
        take(make(seed=1), 3)[2]["condition"]["label"]
        != take(make(seed=2), 3)[2]["condition"]["label"]
    ).any()


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_restored_iterators_continue(taken):
    iterator = make(augment_flip=True)
    take(iterator, taken)
    state = json.loads(json.dumps(iterator.state()))
    restored = make(augment_flip=True)
    take(restored, 2)
    restored.restore(state)
    assert restored.state() == state
    assert_same(take(restored, 4), take(iterator, 4))


def test_two_processes_see_what_one_sees():
    whole = take(make(augment_flip=True), 5)
    halves = [take(make(augment_flip=True, process_index=p, process_count=2), 5) for p in (0, 1)]
    joined = [
        jax.tree.map(lambda *rows: np.concatenate(rows), a, b) for a, b in zip(*halves, strict=True)
    ]
    assert_same(joined, whole)


def test_resume_with_another_number_of_processes():
    iterator = make()
    take(iterator, 3)
    half = make(process_index=1, process_count=2)
    half.restore(iterator.state())
    np.testing.assert_array_equal(
        next(half)["condition"]["label"], next(iterator)["condition"]["label"][2:]
    )
    assert half.state() == iterator.state()


def test_workers_change_nothing():
    """Read by this process, then by two others, then by this one again."""
    plain = take(make(augment_flip=True), 5)
    first = make(augment_flip=True)
    assert_same(take(first, 1), plain[:1])
    others = make(augment_flip=True, workers=2)
    others.restore(first.state())
    assert_same(take(others, 3), plain[1:4])
    others.close()
    last = make(augment_flip=True)
    last.restore(others.state())
    assert_same(take(last, 1), plain[4:])


def test_vectors_are_not_mirrored():
    listed = [{"vector": np.float32([k, -k])} for k in range(4)]
    with pytest.raises(UserError, match="Only pictures can be mirrored"):
        next(batches(listed, lambda examples: {}, batch_size=4, seed=0, augment_flip=True))


def test_foreign_states_are_refused():
    state = make().state()
    with pytest.raises(UserError, match="seed was 0 and is now 1"):
        make(seed=1).restore(state)
    with pytest.raises(UserError, match="batch_size was 4 and is now 2"):
        make(batch_size=2).restore(state)


def test_half_of_the_pictures_are_mirrored():
    plain, flipped = take(make(), 25), take(make(augment_flip=True), 25)
    mirrored = []
    for a, b in zip(plain, flipped, strict=True):
        for x, y in zip(a["x0"], b["x0"], strict=True):
            same, mirror = (x == y).all(), (x[:, ::-1] == y).all()
            assert same != mirror
            mirrored.append(mirror)
    assert 30 < sum(mirrored) < 70


def test_batches_that_cannot_be_divided():
    with pytest.raises(UserError, match="batch of 4 cannot be divided among 3"):
        make(process_count=3)


def test_fewer_workers_than_none():
    with pytest.raises(UserError, match="workers=-1: give 0 or more"):
        make(workers=-1)


def test_no_pictures():
    with pytest.raises(UserError, match="empty"):
        batches([], encode, batch_size=1, seed=0)


def test_bytes_survive_the_unit_interval():
    values = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_bytes(to_unit(values)), values)


def test_one_of_several_captions_at_a_time():
    words = TOKENIZER.words
    captions = [(word, "zero zero", "one one") for word in words]
    source = ArraySource(SOURCE.values, np.arange(COUNT), captions)
    taken = take(batches(source, encode, batch_size=10, seed=0), 30)
    again = take(batches(source, encode, batch_size=10, seed=0), 30)
    assert_same(taken, again)
    shown = np.concatenate([batch["condition"]["tokens"] for batch in taken])
    labels = np.concatenate([batch["condition"]["label"] for batch in taken])
    drawn = [captions[k].index(_caption(row)) for k, row in zip(labels, shown, strict=True)]
    assert (np.abs(np.bincount(drawn) - 100) < 40).all() and len(np.bincount(drawn)) == 3


def _caption(ids):
    return " ".join(TOKENIZER.words[k - 1] for k in ids if k)


def test_a_list_of_examples_is_a_source():
    listed = [{"vector": np.float32([k, -k]), "captions": ("one",)} for k in range(4)]
    batch = next(batches(listed, encode, batch_size=4, seed=0))
    assert sorted(batch["x0"][:, 0]) == [0, 1, 2, 3]
    assert (batch["condition"]["label"] == -1).all()
