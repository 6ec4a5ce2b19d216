"""The nearest training pictures are those of a search through all pairs."""

from collections.abc import Sequence

import numpy as np
import pytest

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import Example
from diffusion_jax.data.memory import ArraySource
from diffusion_jax.metrics import closest as module
from diffusion_jax.metrics import duplicates
from diffusion_jax.metrics.closest import Sought, closest
from diffusion_jax.metrics.features import Pixels
from tests.metrics.test_duplicates import apart, smooth


class Lazy:
    """A source that notes what is read of it, and how much at once."""

    def __init__(self, pictures: np.ndarray):
        self.source, self.read, self.most = ArraySource(pictures), [], 0

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Example:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Example]:
        self.read += indices
        self.most = max(self.most, len(indices))
        return [self.source[index] for index in indices]


@pytest.mark.parametrize("chunk", [11, 1000])
def test_distances_are_those_of_all_pairs(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    once = smooth(50)
    again = (once[:6].repeat(8, axis=0) + rng.integers(-2, 3, (48, 12, 9, 3))).astype(np.uint8)
    train = np.concatenate([once, again, once[[9] * 5], once[20:23, :, ::-1]])
    source = Lazy(train[rng.permutation(len(train))])
    train = source.source.values
    data = Dataset("lazy", source, train.shape[1:])
    monkeypatch.setattr(duplicates, "CHUNK_VALUES", chunk * train[0].size)
    monkeypatch.setattr(module, "ROWS", 13)
    groups = duplicates.find(data)
    points = np.concatenate([smooth(20, seed=3), train[:10], train[10:20, :, ::-1]])
    out = rng.choice(len(train), 30, replace=False)
    sets = [Sought(points), Sought(train[out], out)]
    source.read, source.most = [], 0
    found, left_out = closest(sets, data, groups, {"x": Pixels().fit(data)}, k=7)
    assert sorted(source.read) == sorted(set(groups.first)) and source.most <= chunk

    def expected(pictures: np.ndarray, without: np.ndarray | None) -> tuple[np.ndarray, ...]:
        table = apart(np.concatenate([pictures, train]))[: len(pictures), len(pictures) :]
        table = table * train[0].size ** 0.5 / 127.5
        if without is not None:
            table[groups.first[without][:, None] == groups.first] = np.inf
        each = [table[:, groups.group == g].min(axis=1) for g in groups.groups]
        return np.sort(np.stack(each, axis=1))[:, :7], table

    for result, given in ((found["x"], (points, None)), (left_out["x"], (train[out], out))):
        distances, table = expected(*given)
        np.testing.assert_allclose(result.distance, distances, atol=1e-6)
        there = table[np.arange(len(table)), result.index]
        np.testing.assert_allclose(there, distances[:, 0], atol=1e-6)
        mean = distances.mean(axis=1)
        np.testing.assert_allclose(result.ratio, distances[:, 0] / mean, atol=1e-6)


def test_ratio_of_what_is_equally_near_is_that_of_no_copy() -> None:
    found = module.Closest(np.array([[0.0, 0.0], [0.0, 3.0]]), np.array([0, 0]))
    assert found.ratio.tolist() == [1.0, 0.0]
