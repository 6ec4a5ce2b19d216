"""Samples of a sweep that are not finite leave their metrics without a number."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.data.dataset import datasets
from diffusion_jax.inference.generate import Path
from diffusion_jax.inference.measure import Drawn, Sampling
from diffusion_jax.metrics import metrics
from diffusion_jax.metrics.real import Real
from diffusion_jax.process.level import Level
from diffusion_jax.statistics.many_to_one import NO_NUMBER, compare
from diffusion_jax.sweeps.measured import of_samples

COUNT = 8


@pytest.fixture(scope="module")
def real() -> Real:
    return Real(datasets.make("shapes(size=12, count=32, test_count=32)"), COUNT)


def cell(real: Real, lost: int) -> Drawn:
    finite = np.arange(COUNT) >= lost
    right = {"all": np.ones(COUNT, bool)} if finite.all() else {}
    frame = np.zeros((1, 1, 12, 12, 3))
    path = Path(Level(jnp.ones(1), jnp.zeros(1)), frame, frame)
    sampling = Sampling("ddim", 4)
    return Drawn(
        "a", sampling, real.captions, real.pictures, finite, right, path, 4.0, real.pictures
    )


def test_metrics_have_no_number_and_are_not_left_out(real: Real) -> None:
    asked = {spec: metrics.make(spec) for spec in ("kernel", "exact_match", "frechet")}
    whole, broken = (of_samples(asked, cell(real, lost), real)[0] for lost in (0, 3))
    # Eight samples are too few for a Fréchet distance, finite or not.
    names = ["kernel", "exact_match", "psnr", "rmse"]
    assert [row.metric for row in whole] == [row.metric for row in broken] == names
    assert all(math.isfinite(row.value) for row in whole)
    assert all(math.isnan(row.value) and row.error is None for row in broken)
    assert [row.count for row in broken] == [COUNT] * 4
    # One such seed, and an arm has no number, rather than the mean of those that are left.
    values = {"base": {0: 1.0, 1: 1.1}, "a": {0: whole[0].value, 1: broken[0].value}}
    assert compare(values, "base", better="lower")["a"].verdict == NO_NUMBER
