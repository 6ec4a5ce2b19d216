"""Every metric tells good samples from bad ones, and real pictures from neither."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy import stats

from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.data.memory import ArraySource
from diffusion_jax.errors import UserError
from diffusion_jax.metrics import DEFAULT, Metric, floor, mean, measure, metrics, quality
from diffusion_jax.metrics.features import feature_maps
from diffusion_jax.metrics.measurement import NotMeasured
from diffusion_jax.metrics.real import Real

COUNT = 128
WITH_WEIGHTS = ("clip_score", "released")  # of others, see test_released.py
PLAIN = tuple(name for name in metrics if name not in WITH_WEIGHTS)
SPECS = (*PLAIN, "frechet(features=random_convolutions, extrapolated=False)")


@pytest.fixture(scope="module")
def real() -> Real:
    return Real(datasets.make("shapes(size=12, count=300, test_count=1200)"), COUNT)


def test_the_default_names_metrics() -> None:
    assert set(DEFAULT) <= set(metrics)


@pytest.mark.parametrize("spec", SPECS)
def test_what_is_worse_measures_worse(spec: str, real: Real) -> None:
    metric = metrics.make(spec)
    assert isinstance(metric, Metric)
    trained = real.data.train.__getitems__(range(COUNT))
    if spec in ("copies", "neighbour_ratio"):
        bad = np.stack([example["image"] for example in trained])  # by heart
    else:
        bad = np.roll(real.pictures, 1, axis=0) // 2 + 60  # pale, with others' captions
    best, worst = (metric(each, real.captions, real) for each in (real.pictures, bad))
    assert best is not None and worst is not None
    for found in (best, worst):
        assert found.low <= found.value <= found.high and found.count == COUNT
    if not metric.lower_is_better:
        assert worst.high < best.low
    else:
        assert best.high < worst.low


def test_real_pictures_get_what_a_perfect_model_would(real: Real) -> None:
    found = floor(real)
    assert found["exact_match"].value == 1
    assert found["neighbour_ratio"].value == 1
    assert found["copies"].value < 0.1
    for name in ("frechet", "kernel"):
        assert found[name].low < 0 < found[name].high


def data_of(train: np.ndarray, test: np.ndarray) -> Dataset:
    """A data set of these pictures, all called "a"."""

    def source(pictures: np.ndarray) -> ArraySource:
        count = len(pictures)
        return ArraySource(pictures, np.zeros(count, np.int64), ["a"] * count)

    words = ("a",)
    return Dataset("made", source(train), train.shape[1:], source(test), ("p",), words, ("a",))


def drawn(count: int, seed: int, size: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def row(*values: int) -> np.ndarray:
    return np.array(values, np.uint8).reshape(-1, 1, 1, 1)


def test_copies_and_near_ones_are_told_by_their_distances() -> None:
    """Pictures of one pixel: every number can be read off."""
    test = row(0, 0, 0, 0, 20, 30, 40, 30)  # the last four are 20 to 40 from training
    real = Real(data_of(row(0, 100, 200), test), 4)
    samples = row(0, 110, 30, 40)  # 0, 10, 30 and 40 from it
    ratio = metrics["neighbour_ratio"]()(samples, (), real)
    assert ratio.value == pytest.approx(20 / 30)
    copies = metrics["copies"]()(samples, (), real)
    assert copies.value == 0.5  # the second nearest of 110 is 90 away


@pytest.mark.parametrize(("samples", "unseen"), [(5, 40), (40, 5), (6, 6)])
def test_a_ratio_of_medians_of_few_has_no_interval(samples: int, unseen: int) -> None:
    """Six at least: all of n lie on one side of the median with probability 2^(1 - n)."""
    real = Real(data_of(drawn(20, 0), drawn(2 * unseen, 1)), samples)
    found = metrics["neighbour_ratio"]()(drawn(samples, 2), (), real)
    assert found.value > 0
    assert (found.low is None) == (found.error is None) == (min(samples, unseen) < 6)


def test_a_number_that_all_samples_share_has_no_interval() -> None:
    found = mean(np.full(3, 0.5))
    assert found.value == 0.5 and found.low is None and found.error is None


@pytest.mark.parametrize("again", [1, 5])
def test_copies_of_pictures_that_the_set_has_several_times_are_copies(again: int) -> None:
    train = np.repeat(drawn(40, 0), again, axis=0)
    real = Real(data_of(train, drawn(40, 1)), 16)
    found = quality(train[:16], ("a",) * 16, real, ("copies", "neighbour_ratio"))
    assert found["copies"].value == 1 and found["neighbour_ratio"].value == 0
    found = quality(drawn(16, 2), ("a",) * 16, real, ("copies", "neighbour_ratio"))
    assert found["copies"].value == 0 and 0.8 < found["neighbour_ratio"].value < 1.2


@pytest.mark.parametrize("count", [1, 2, 3, 16, 64])
@pytest.mark.parametrize(
    ("train", "test"), [(1, 1), (1, 2), (1, 9), (2, 3), (3, 1), (3, 4), (50, 5), (50, 140)]
)
def test_every_metric_is_measured_or_says_what_is_missing(
    count: int, train: int, test: int
) -> None:
    """However few there are, of different pictures and of equal ones."""
    several = drawn(train, 0)
    for pictures in (several, np.repeat(several[:1], train, axis=0)):
        for others in (drawn(test, 1), np.repeat(pictures[:1], test, axis=0)):
            real = Real(data_of(pictures, others), count)
            for samples in (drawn(count, 2), np.repeat(others[:1], count, axis=0)):
                for spec in metrics:
                    try:
                        found = measure(metrics.make(spec), samples, ("a",) * count, real)
                    except NotMeasured:
                        continue
                    assert np.isfinite(found.value)
                    if found.low is None:
                        assert found.high is None and found.error is None
                    else:
                        assert found.low <= found.value <= found.high < np.inf


def test_what_is_missing_is_known_before_there_are_samples() -> None:
    few = Real(data_of(drawn(1, 0), drawn(1, 1)), 1)
    missing = {spec: metrics.make(spec).needs(1, few) or "" for spec in metrics}
    assert "no checker" in missing["exact_match"]
    assert "4 samples are needed, and there are 1" in missing["frechet"]
    assert "3 samples are needed, and there are 1" in missing["kernel"]
    assert "3 test examples to measure distances to are needed, and there are 0 (half of 1" in (
        metrics.make("kernel").needs(3, few) or ""
    )
    assert "1 sample has no median" in missing["neighbour_ratio"]
    assert "two different training examples" in missing["copies"]
    faint = Real(data_of(drawn(40, 0) % 4, drawn(40, 1)), 16)
    assert "by more than 4 values of a byte" in (metrics.make("copies").needs(16, faint) or "")
    enough = Real(data_of(drawn(40, 0), drawn(200, 1)), 100)
    assert not any(metrics.make(s).needs(100, enough) for s in PLAIN if s != "exact_match")


def test_unseen_pictures_that_were_trained_on_are_no_measure_of_new_ones() -> None:
    train = drawn(40, 0)
    real = Real(data_of(train, train), 16)
    with pytest.raises(NotMeasured, match="of 16 test examples .* 16 are training examples"):
        measure(metrics.make("neighbour_ratio"), drawn(16, 2), ("a",) * 16, real)


def test_a_data_set_without_a_checker_has_no_rate(real: Real) -> None:
    silent = Real(dataclasses.replace(real.data, check=None), COUNT)
    assert not quality(real.pictures, real.captions, silent, ("exact_match",))


def test_wrong_specs_and_too_little(real: Real) -> None:
    with pytest.raises(UserError, match="Did you mean 'frechet'"):
        quality(real.pictures, real.captions, real, ("frechett",))
    with pytest.raises(UserError, match="Did you mean 'principal'"):
        metrics.make("kernel(features=principle)")
    few = Real(real.data, 3)
    assert set(floor(few)) == {"exact_match", "kernel", "neighbour_ratio", "copies"}


class TestFeatures:
    @pytest.mark.parametrize(
        "spec", [*sorted(set(feature_maps) - set(WITH_WEIGHTS)), "principal(count=5)"]
    )
    def test_a_row_for_each_picture_by_itself(self, spec: str, real: Real) -> None:
        extract = feature_maps.make(spec).fit(real.data)
        rows = extract(real.pictures)
        assert rows.dtype == np.float64 and len(rows) == COUNT and rows.ndim == 2
        np.testing.assert_allclose(extract(real.pictures[3:5]), rows[3:5], rtol=1e-4, atol=1e-4)
        assert rows.std(axis=0).max() > 0

    def test_principal_components_keep_the_most_variance_of_any_as_many_directions(
        self, real: Real
    ) -> None:
        train = real.data.train.__getitems__(range(300))
        pictures = np.stack([example["image"] for example in train])
        rows = feature_maps.make("principal(count=5)").fit(real.data)(pictures)
        x = pictures.reshape(300, -1) / 127.5
        covariance = np.cov(x, rowvar=False)
        np.testing.assert_allclose(
            np.cov(rows, rowvar=False), np.diag(np.linalg.eigvalsh(covariance)[:-6:-1]), atol=1e-6
        )

    def test_convolutions_are_those_of_the_formula(self, real: Real) -> None:
        features = feature_maps.make("random_convolutions(width=4, layers=1, seed=7)")
        found = features.fit(real.data)(real.pictures[:2])
        (w,) = features.weights(3)  # type: ignore[attr-defined]
        # "SAME" with stride 2 on an even side pads one row below and one column to the right.
        x = np.pad(real.pictures[:2] / 127.5 - 1, ((0, 0), (0, 1), (0, 1), (0, 0)))
        out = np.zeros((2, 6, 6, 4))
        for i, j in np.ndindex(3, 3):
            out += x[:, i : i + 11 : 2, j : j + 11 : 2] @ w[i, j]
        np.testing.assert_allclose(found, np.maximum(out, 0).mean(axis=(1, 2)), atol=1e-5)

    def test_settings_that_cannot_work(self) -> None:
        for spec in ("principal(count=0)", "random_convolutions(width=0)"):
            with pytest.raises(UserError, match="must be (1 or more|from 1 to 4096), not 0"):
                feature_maps.make(spec)


def test_a_mean_is_paired_as_scipy_pairs_it() -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 40))
    second = first + 0.3 * second - 0.1
    found = mean(first)
    low, high = stats.t.interval(0.95, 39, first.mean(), stats.sem(first))
    assert (found.value, found.low, found.high) == pytest.approx((first.mean(), low, high))
    other, truth = mean(second).pairing, stats.ttest_rel(first, second)
    assert found.pairing is not None and other is not None
    difference = found.pairing.minus(other)
    assert difference.p_value == pytest.approx(truth.pvalue)
    assert (difference.low, difference.high) == pytest.approx(tuple(truth.confidence_interval()))
    with pytest.raises(NotMeasured, match="2 samples are needed"):
        mean(first[:1])


def test_a_metric_that_returns_a_number_is_refused() -> None:
    class Bare:
        unit, lower_is_better = "", True

        def needs(self, count: int, real: Real) -> None:
            return None

        def __call__(self, pictures: Any, captions: Any, real: Real) -> Any:
            return 1.0

    real = Real(datasets.make("two_moons(count=8, test_count=8)"), 4)
    with pytest.raises(UserError, match=r"Bare must return a dj.metrics.Measured"):
        measure(Bare(), np.zeros((4, 2), np.float32), ("",) * 4, real)
