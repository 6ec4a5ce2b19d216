"""Audits of models whose copies are known, and how often one that copies nothing is accused."""

import dataclasses
import functools

import numpy as np
import pytest

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.memory import ArraySource
from diffusion_jax.errors import UserError
from diffusion_jax.metrics.audit import CopyTest, audit, check
from diffusion_jax.metrics.closest import Closest
from diffusion_jax.metrics.copying import Generated, InSpace
from diffusion_jax.metrics.features import Principal

SIZE = 8
TEST = CopyTest(Principal(8), k=20, alarm=0.04)


@functools.cache
def basis() -> np.ndarray:
    """A dozen waves, of which all pictures are made; each is unlike its mirror image."""
    rng = np.random.default_rng(0)
    u = np.arange(SIZE) / SIZE
    waves = [
        np.sin(6.28 * (a * u[:, None] + b * u + c))
        for a, b, c in zip(*rng.uniform(0.3, 1.6, (2, 12)), rng.random(12), strict=True)
    ]
    return np.stack(waves)


def draw(count: int, seed: int) -> np.ndarray:
    """Pictures of one distribution."""
    weights = np.random.default_rng(seed).normal(size=(count, 12))
    x = np.einsum("nw,wij->nij", weights, basis())
    return np.clip(128 + 20 * x, 0, 255).astype(np.uint8)[..., None]


def dataset(train: np.ndarray, seed: int = 1, held_out: int = 200) -> Dataset:
    test = ArraySource(draw(held_out, seed))
    return Dataset("waves", ArraySource(train), train.shape[1:], test)


def copy(how: str, train: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if how == "mirrored":
        return train[:, :, ::-1]
    if how == "noisy":
        return np.clip(train + rng.normal(size=train.shape) * 5, 0, 255).astype(np.uint8)
    return train


@pytest.mark.parametrize("how", ["exact", "noisy", "mirrored"])
def test_the_rate_is_that_of_the_copies(how: str) -> None:
    train = draw(100, 0)
    pictures = np.concatenate([copy(how, train[:90], 5), draw(210, 6)])
    (found,) = audit([Generated("any", pictures)], dataset(train), TEST).audited
    assert found.copied[:90].all()
    false = found.copied[90:].mean()
    assert false < 3 * TEST.alarm
    assert found.rate.low is not None and found.rate.high is not None
    assert found.rate.low < 0.3 + 0.7 * TEST.alarm < found.rate.high
    space = found.spaces["pixels"]
    np.testing.assert_array_equal(space.drawn.index[:90], np.arange(90))
    assert set(found.closest_first[:90]) == set(range(90))
    assert (found.off[:90] <= (0.01 if how != "noisy" else 8)).all()


def test_few_copies_are_enough_for_a_verdict_and_fresh_pictures_are_none() -> None:
    train = draw(100, 0)
    kinds = [
        Generated("a tenth", np.concatenate([train[:30], draw(270, 6)])),
        Generated("fresh", draw(300, 7)),
    ]
    found = audit(kinds, dataset(train), TEST)
    tenth, fresh = found.audited
    assert found.accused(tenth) and not found.accused(fresh) and found.copies
    assert found.p_value(tenth) == min(1.0, 2 * tenth.p_value)


def test_false_alarms_are_as_rare_as_stated() -> None:
    """Whole audits of a model that is perfect: of each other training set and other pictures."""
    shares = []
    for seed in range(40):
        data = dataset(draw(60, 100 + seed), seed=200 + seed, held_out=99)
        (found,) = audit([Generated("any", draw(50, 300 + seed))], data, TEST).audited
        assert found.false_alarms == pytest.approx(0.04)
        shares.append([space.copied.mean() for space in found.spaces.values()])
    # Each space has the mean 0.02; means of 40 audits have a standard error of about 0.0035.
    for share in np.mean(shares, axis=0):
        assert 0.008 < share < 0.035


def test_thresholds_have_exact_false_alarms_whatever_is_drawn_from() -> None:
    """The share below, and how often a p-value of 0.05 or less comes, over many draws."""
    rng, shares, small = np.random.default_rng(0), [], []
    for _ in range(2000):
        ratios = rng.gamma(0.7, size=99 + 30)
        drawn, real = (
            Closest(np.stack([r, 2 - r], axis=1), np.zeros(len(r), int))
            for r in np.split(ratios / ratios.max(), [30])
        )
        space = InSpace(drawn, real, rank=5)
        shares.append(space.copied.mean())
        small.append(space.p_value <= 0.05)
    assert abs(np.mean(shares) - 0.05) < 0.005
    assert 0.01 < np.mean(small) < 0.06


def test_a_picture_that_was_there_fifty_times_is_found() -> None:
    train = np.concatenate([draw(200, 0), draw(200, 0)[[7] * 49], draw(200, 0)[[8] * 4]])
    pictures = np.concatenate([train[[7] * 40], train[[8] * 5], train[[20]], draw(100, 3)])
    data = dataset(train[np.random.default_rng(2).permutation(len(train))])
    found = audit([Generated("any", pictures)], data, TEST)
    first, second = found.repeated
    for one, original, expected in ((first, 7, (50, 40)), (second, 8, (5, 5))):
        assert (one.times, one.copies) == expected and one.nearest >= one.copies
        np.testing.assert_array_equal(data.train[one.row]["image"], train[original])
    drawn, real = found.share_near_repeated
    assert 45 <= round(146 * drawn) < 60 and real < 0.1
    assert len(found.duplicates.groups) == 200
    assert found.copies and found.found >= 46


def test_where_captions_are_held_out_training_pictures_are_judges() -> None:
    """Held-out pictures of other things are farther away than new ones of the same things."""
    train, other = draw(150, 0), 255 - draw(150, 1) // 3
    data = dataclasses.replace(dataset(train), test=ArraySource(other), held_out_captions=("x",))
    fresh = Generated("prompts", draw(150, 5))
    found = audit([fresh, dataclasses.replace(fresh, as_trained=False)], data, TEST)
    as_trained, as_held_out = found.audited
    assert as_trained.left_out and not as_held_out.left_out
    assert not found.accused(as_trained)
    assert len(as_trained.real_off) == 150 and as_trained.real_off.min() > 0
    assert as_trained.spaces["pixels"].threshold < as_held_out.spaces["pixels"].threshold


VECTORS = Dataset("points", ArraySource(np.zeros((9, 2), np.float32)), (2,))
LATENTS = Dataset("latents", ArraySource(np.zeros((9, 4, 4, 4), np.float32)), (4, 4, 4))


@pytest.mark.parametrize(
    ("data", "test", "message"),
    [
        (dataset(draw(9, 0), held_out=0), TEST, "takes 49 held-out pictures, and there are 0"),
        (dataset(draw(9, 0), held_out=48), TEST, "there are 48; with 48, 0.0408 is the least"),
        (dataset(draw(9, 0)), CopyTest(real=30), "takes 99 held-out .* there are 30"),
        (VECTORS, TEST, "compares pictures, and data set 'points' has vectors of 2"),
        (LATENTS, TEST, "'latents' has arrays of 4×4×4"),
        (dataset(draw(1, 0)), CopyTest(Principal()), "two different training examples"),
    ],
)
def test_what_cannot_be_audited_is_said_before(data: Dataset, test: CopyTest, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        check(data, test)
    assert "\n" not in str(caught.value)


def test_what_is_found_out_later_is_said_in_a_line_too() -> None:
    alike = dataset(draw(2, 0).repeat(30, axis=0))
    with pytest.raises(UserError, match="has 2 different training pictures, and 3 are needed"):
        audit([Generated("any", draw(5, 3))], alike, TEST)
    small = Generated("any", np.zeros((5, 4, 4, 1), np.uint8))
    with pytest.raises(UserError, match=r"shape \(5, 4, 4, 1\)"):
        audit([small], dataset(draw(20, 0)), TEST)
    few = dataclasses.replace(dataset(draw(20, 0)), held_out_captions=("x",))
    with pytest.raises(UserError, match="49 different training pictures, and there are 20"):
        audit([Generated("any", draw(5, 3))], few, TEST)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"alarm": 0.0}, "above 0"), ({"alarm": float("nan")}, "above 0"), ({"k": 1}, "k=1")],
)
def test_numbers_without_sense_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        CopyTest(**wrong)  # type: ignore[arg-type]
