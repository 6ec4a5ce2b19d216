"""Latents are compared as the pictures that they stand for; else as numbers, and plotted."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from diffusion_jax.data.arrays import arrays
from diffusion_jax.data.dataset import Dataset, Decoded
from diffusion_jax.data.example import to_bytes, to_unit
from diffusion_jax.data.memory import ArraySource
from diffusion_jax.inference.restoration import Fidelity
from diffusion_jax.process.objective import Objective
from diffusion_jax.reports.compare import Result, compare
from diffusion_jax.training.arm import Arm
from diffusion_jax.training.train import train
from tests.experiments.test_two_dimensions import said

# One vector, which is trained to be the mean of the data.
CONSTANT = (
    lambda key, x0, condition: jnp.zeros(x0.shape[1:]),
    lambda params, x, c_noise, condition, key: params + 0 * x,
)


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Of standard deviation 3, which bytes would clip."""
    values = 3 * np.random.default_rng(0).normal(size=(120, 4, 4, 2))
    return arrays(values.astype(np.float32), held_out=0.5, latents=True)


@pytest.fixture(scope="module")
def result(data: Dataset) -> Result:
    objective = Objective.make("cosine", "x0")
    arms = [
        Arm(name, objective, CONSTANT, optimizer=optax.sgd(rate))
        for name, rate in (("a", 0.1), ("b", 0.5))
    ]
    trained = train(arms, data, steps=3, batch_size=16)
    return compare(trained, data, steps=3, metrics=("kernel", "copies"), count=16, batch_size=8)


def test_what_is_a_picture_is_what_examples_are(data: Dataset) -> None:
    assert (data.has_pictures, data.form) == (False, "arrays of 4×4×2")
    bytes_ = arrays(np.zeros((9, 4, 4, 2), np.uint8))
    assert (bytes_.has_pictures, bytes_.form) == (True, "pictures of 4×4")


def test_latents_are_compared_as_they_are(result: Result) -> None:
    metrics = {row.metric for row in result.table}
    assert metrics == {"kernel", "noise_error"}  # no bits per dimension, which bytes have
    assert all(np.isfinite(row.value) for row in result.table)
    assert "arrays of 4×4×2" in result.report.not_measured["copies"]
    assert len(result.report.tests) == 1


def test_the_page_shows_plots_and_says_so(result: Result, tmp_path: Path) -> None:
    page = said(result.save(tmp_path).read_text())
    assert "the first two of 32 numbers each" in page
    assert "picture" not in page.lower() and "paint" not in page.lower()


def test_with_a_decoder_pictures_are_measured_and_shown() -> None:
    """Of latents that are the pictures turned by half, which the decoder turns back."""

    def turned(latents: np.ndarray) -> np.ndarray:
        return latents[:, ::-1, ::-1].copy()

    shown = arrays(np.random.default_rng(1).integers(0, 256, (120, 4, 4, 3), np.uint8))
    train_, test = (ArraySource(turned(to_unit(s.values))) for s in (shown.train, shown.test))
    made = Dataset("turned", train_, (4, 4, 3), test, decoded=Decoded(shown, turned))
    assert (made.seen(test.values) == shown.test.values).all()
    arm = Arm("a", Objective.make("cosine", "x0"), CONSTANT, optimizer=optax.sgd(0.1))
    trained = train(arm, made, steps=3, batch_size=16)
    settings: dict[str, Any] = {"steps": 3, "metrics": ("frechet", "copies"), "count": 16}
    report = compare(trained, made, batch_size=8, **settings).report
    assert {row.metric for row in report.measurements} == {"copies", "noise_error"}
    assert report.samples is not None and report.real is not None
    drawn = report.samples.pictures["a"]
    assert drawn.dtype == np.uint8 and drawn.shape[1:] == (4, 4, 3) and not report.samples.plotted
    assert (report.real.pictures[:3] == shown.test.values[:3]).all()
    # What such an arm draws is its mean.
    wanted = to_bytes(turned(np.asarray(trained["a"].params)[None]))
    assert np.abs(drawn.astype(int) - wanted.astype(int)).max() <= 1
    film = report.arms[0].trajectory
    assert film is not None and (film.denoised[-1, :1] == drawn[:1]).all()


def test_restored_vectors_have_an_error_in_their_own_unit() -> None:
    found = Fidelity.of(np.zeros((2, 4), np.float32), np.full((2, 4), 0.5, np.float32))
    assert found.rmse.tolist() == [0.5, 0.5]
