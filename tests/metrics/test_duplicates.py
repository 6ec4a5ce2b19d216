"""Duplicates are those that every pair, compared pixel by pixel, says; features of blocks."""

import numpy as np
import pytest

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.memory import ArraySource
from diffusion_jax.metrics import duplicates
from diffusion_jax.metrics.duplicates import find
from diffusion_jax.metrics.features.block_means import BlockMeans, borders
from diffusion_jax.metrics.neighbours import ALIKE


def dataset(pictures: np.ndarray) -> Dataset:
    return Dataset("own", ArraySource(pictures), pictures.shape[1:])


def smooth(count: int, size: tuple[int, int] = (12, 9), seed: int = 0) -> np.ndarray:
    """Pictures with few colours, so that many of their means are alike and they are not."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 2, (count, 4, 3, 3)) * rng.choice([60, 66, 190], (count, 1, 1, 1))
    large = blocks.repeat(-(-size[0] // 4), axis=1).repeat(-(-size[1] // 3), axis=2)
    return (30 + large[:, : size[0], : size[1]]).astype(np.uint8)


def apart(pictures: np.ndarray) -> np.ndarray:
    """Root mean squares of all pairs' differences, the nearer of both ways round."""
    x = pictures.astype(float)
    ways = [((x[:, None] - y) ** 2).mean((2, 3, 4)) for y in (x, x[:, :, ::-1])]
    return np.sqrt(np.minimum(*ways))


@pytest.mark.parametrize("rows", [7, 256])
def test_groups_are_those_of_all_pairs(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    once = smooth(40)
    saved_again = (once[:10] + rng.integers(-3, 4, once[:10].shape)).astype(np.uint8)
    brighter, lighter = once[10:20] + np.uint8(ALIKE + 1), once[20:30] + np.uint8(ALIKE - 1)
    again = once[[3] * 20], once[5:9, :, ::-1], saved_again, brighter, lighter
    pictures = np.concatenate([once, *again])
    pictures = pictures[rng.permutation(len(pictures))]
    monkeypatch.setattr(duplicates, "ROWS", rows)
    monkeypatch.setattr(duplicates, "CHUNK_VALUES", 30 * once[0].size)
    found, distance = find(dataset(pictures)), apart(pictures)
    assert (distance[np.arange(len(pictures)), found.group] <= ALIKE).all()
    between = distance[np.ix_(found.groups, found.groups)] + 1e9 * np.eye(len(found.groups))
    assert between.min() > ALIKE
    np.testing.assert_array_equal(found.first, (distance == 0).argmax(axis=1))
    assert max(found.times.values()) >= 21
    assert sorted(found.unique) == sorted(set(found.first))
    assert (np.diff(found.group[found.unique]) >= 0).all()


def test_no_picture_is_a_duplicate_of_one_that_differs() -> None:
    pictures = np.arange(0, 250, ALIKE + 1).astype(np.uint8).reshape(-1, 1, 1, 1)
    pictures = np.broadcast_to(pictures, (len(pictures), 5, 4, 1))
    found = find(dataset(np.ascontiguousarray(pictures)))
    assert not found.times and len(found.groups) == len(pictures)


@pytest.mark.parametrize("shape", [(8, 8, 3), (13, 7, 1), (6, 17, 4), (3, 2, 3)])
@pytest.mark.parametrize("side", [1, 4, 5, 8])
def test_means_over_blocks_are_a_projection(shape: tuple[int, ...], side: int) -> None:
    """No distance grows, a constant keeps its length, and the mirror image's are mirrored."""
    pictures = np.random.default_rng(0).integers(0, 256, (6, *shape)).astype(np.uint8)
    data, features = dataset(pictures), BlockMeans(side)
    extract = features.fit(data)
    flat = pictures.reshape(len(pictures), -1) / 127.5 - 1
    whole = np.linalg.norm(flat[:, None] - flat, axis=2)
    found = extract(pictures)
    assert found.shape[1] == features.dim(data) <= side**2 * shape[2]
    assert (np.linalg.norm(found[:, None] - found, axis=2) <= whole + 1e-9).all()
    white = extract(np.full((1, *shape), 255, np.uint8))
    np.testing.assert_allclose(np.linalg.norm(white), np.prod(shape) ** 0.5)
    turned = found.reshape(6, *features.grid(data))[:, :, ::-1].reshape(found.shape)
    np.testing.assert_allclose(extract(pictures[:, :, ::-1]), turned)


def test_blocks_of_a_pixel_are_the_pixels() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 6, 8, 2)).astype(np.uint8)
    found = BlockMeans(8).fit(dataset(pictures))(pictures)
    np.testing.assert_allclose(found, pictures.reshape(3, -1) / 127.5 - 1)
    assert borders(32, 8).tolist() == list(range(0, 33, 4))
