"""Every metric tells good samples from bad ones, and real pictures from neither."""

import dataclasses

import numpy as np
import pytest

from diffusion_jax.data.dataset import datasets
from diffusion_jax.errors import UserError
from diffusion_jax.evaluation.features import feature_maps
from diffusion_jax.evaluation.quality import DEFAULT, Metric, floor, metrics, quality
from diffusion_jax.evaluation.real import Real

COUNT = 128
SPECS = (*metrics, "frechet(features=random_convolutions, extrapolated=False)")


@pytest.fixture(scope="module")
def real() -> Real:
    return Real(datasets.make("shapes(size=12, count=300, test_count=1200)"), COUNT)


def test_the_default_names_all_that_there_is() -> None:
    assert sorted(DEFAULT) == sorted(metrics)


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
    if metric.better == "higher":
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


def test_copies_and_near_ones_are_told_by_their_distances(
    real: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Points on a line in place of features: every number can be read off."""

    @dataclasses.dataclass(frozen=True)
    class Line:
        def fit(self, data):  # type: ignore[no-untyped-def]
            return lambda pictures: pictures.reshape(len(pictures), -1)[:, :1].astype(float)

    def row(*values: int) -> np.ndarray:
        return np.array(values, np.uint8).reshape(-1, 1, 1, 1)

    given = {"train": row(0, 100, 200), "reference": row(50)}
    monkeypatch.setattr(Real, "_pictures", lambda self, which: given[which])
    fresh = Real(real.data, 4)
    monkeypatch.setitem(fresh.__dict__, "pictures", row(20, 30, 40, 30))  # 20 to 40 from training
    samples = row(0, 110, 30, 40)  # 0, 10, 30 and 40 from it
    ratio = metrics["neighbour_ratio"](features=Line())(samples, (), fresh)
    assert ratio is not None and ratio.value == pytest.approx(20 / 30)
    copies = metrics["copies"](features=Line())(samples, (), fresh)
    assert copies is not None and copies.value == 0.5  # the second nearest of 110 is 90 away


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
    @pytest.mark.parametrize("spec", [*feature_maps, "principal(count=5)"])
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
            with pytest.raises(UserError, match="must be 1 or more"):
                feature_maps.make(spec)
