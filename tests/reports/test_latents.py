"""Latents have the rank of pictures and are none: they are compared as numbers, and plotted."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from diffusion_jax.data.arrays import arrays
from diffusion_jax.data.dataset import Dataset
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


def test_restored_vectors_have_an_error_in_their_own_unit() -> None:
    found = Fidelity.of(np.zeros((2, 4), np.float32), np.full((2, 4), 0.5, np.float32))
    assert found.rmse.tolist() == [0.5, 0.5]
