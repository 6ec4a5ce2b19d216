"""Measuring takes the memory that was told, and no more where there is more to train on."""

import tracemalloc

import numpy as np
import pytest

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.memory import ArraySource
from diffusion_jax.metrics import real as real_pictures
from diffusion_jax.metrics.memory import metric_memory
from diffusion_jax.metrics.quality import metrics, quality
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
    few, many = data_of(200), data_of(1500)
    taken = peak(many, specs)
    assert taken < metric_memory(many, SAMPLES, [metrics.make(spec) for spec in specs])
    if specs[0] == "copies":
        # 1,300 more pictures are 32 MB as float64.
        assert taken < peak(few, specs) + 2e6
