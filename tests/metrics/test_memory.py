"""Measuring takes the memory that was told, and no more where there is more to train on."""

import dataclasses
import tracemalloc

import numpy as np
import pytest

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.memory import ArraySource
from diffusion_jax.metrics import memory, metrics, quality
from diffusion_jax.metrics import real as real_pictures
from diffusion_jax.metrics.features import feature_maps
from diffusion_jax.metrics.memory import metric_memory
from diffusion_jax.metrics.real import Real

SIZE, SAMPLES = 32, 64


def data_of(train: int) -> Dataset:
    def source(count: int) -> ArraySource:
        shape = (count, SIZE, SIZE, 3)
        pictures = np.random.default_rng(count).integers(0, 256, shape, dtype=np.uint8)
        return ArraySource(pictures, np.zeros(count, np.int64), ["a"] * count)

    words, shape = ("a",), (SIZE, SIZE, 3)
    return Dataset("made", source(train), shape, source(300), ("p",), words, ("a",))


def peak(data: Dataset, specs: tuple[str, ...]) -> int:
    """Bytes that measuring takes at most, those of the pictures left out."""
    samples = np.random.default_rng(0).integers(0, 256, (SAMPLES, SIZE, SIZE, 3), dtype=np.uint8)
    data.train[0], data.test[0]
    tracemalloc.start()
    quality(samples, ("a",) * SAMPLES, Real(data, SAMPLES), specs)
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


@pytest.mark.parametrize("specs", [("copies", "neighbour_ratio"), ("kernel", "frechet")])
def test_memory_is_what_was_told(specs: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_pictures, "CHUNK_VALUES", 2**19)
    monkeypatch.setattr(real_pictures, "KEPT_VALUES", 0)
    monkeypatch.setattr(memory, "KEPT_VALUES", 0)
    few, many = data_of(200), data_of(1500)
    taken = peak(many, specs)
    assert taken < metric_memory(many, SAMPLES, [metrics.make(spec) for spec in specs])
    if specs[0] == "copies":
        # 1,300 more pictures are 32 MB as float64.
        assert taken < peak(few, specs) + 2e6


def test_features_of_training_pictures_are_kept_where_they_are_small() -> None:
    """The second metric makes none again, and finds what it would have made."""
    data = data_of(200)
    features = feature_maps.make("random_convolutions(width=2, layers=1)")
    real, samples = Real(data, 4), np.zeros((4, SIZE, SIZE, 3), np.uint8)
    extract, made = features.fit(data), []
    real._extractors[features] = lambda pictures: made.append(len(pictures)) or extract(pictures)
    first = real.nearest(features, samples)
    assert sum(made) == 4 + 200
    real.nearest_other(features, samples)
    assert sum(made) == 4 + 200 + 4
    again = real.nearest(features, samples + 1)
    assert sum(made) == 4 + 200 + 4 + 4 and again.distance.shape == first.distance.shape


def test_small_features_of_large_pictures_take_little_memory() -> None:
    """10,000 samples of 256 by 256 pixels have 64 features each."""
    side = (256, 256, 3)
    large = dataclasses.replace(data_of(200), shape=side)
    needed = {
        spec: metric_memory(large, 10_000, [metrics.make(spec)])
        for spec in ("kernel(features=random_convolutions)", "kernel")
    }
    # Bytes of the pictures that have the samples' captions are two thirds of it.
    assert needed["kernel(features=random_convolutions)"] < 8 * 2**30 < needed["kernel"]
