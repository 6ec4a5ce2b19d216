"""What is seen of a picture, how it is shown, and how near a restored one comes."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import base
from diffusion_jax.errors import UserError
from diffusion_jax.inference.restoration import Fidelity, Restoration
from diffusion_jax.metrics import mean
from diffusion_jax.sampling.solvers import solvers

SHAPE = (6, 6, 3)


def asked(operator: str, posterior: str) -> ConfigDict:
    config = base.get_config()
    config.sampling.operator, config.sampling.posterior = operator, posterior
    return config


def made(operator: str, posterior: str = "dps") -> Restoration:
    restoration = Restoration.make(asked(operator, posterior), SHAPE)
    assert restoration is not None
    return restoration


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, *SHAPE), dtype=np.uint8)


def test_nothing_asked_is_nothing_restored() -> None:
    assert Restoration.make(asked("none", "none"), SHAPE) is None


@pytest.mark.parametrize(
    ("operator", "posterior", "message"),
    [
        ("half", "none", "needs sampling.posterior.*mmps"),
        ("none", "dps", "needs sampling.operator.*downsample"),
        ("halv", "dps", "Did you mean 'half'"),
        ("half", "dsp", "Did you mean 'dps'"),
        ("half", "mmps(iterations=0)", "iterations must be 1 or more"),
        ("blur", "repaint", "works with masks only"),
    ],
)
def test_what_cannot_be_asked(operator: str, posterior: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Restoration.make(asked(operator, posterior), SHAPE)


def test_a_solver_that_cannot_follow_is_refused() -> None:
    restoration = made("half", "repaint")
    restoration.check([solvers.make("ddim")])
    with pytest.raises(UserError, match="remembers earlier steps"):
        restoration.check([solvers.make("dpmpp_2m")])


def test_steps_that_are_repeated_count() -> None:
    # Nine jumps of one step back, each made three times more: the first step is not repeated.
    assert made("half", "repaint(resample=4)").steps(10) == 10 + 9 * 3
    assert made("half").steps(10) == 10


def test_an_observation_is_of_its_own_picture_with_the_noise_reckoned_with(
    pictures: np.ndarray,
) -> None:
    exact = made("half").given(pictures, 0).observation
    np.testing.assert_allclose(exact[:, :, :3], pictures[:, :, :3] / 127.5 - 1, atol=1e-6)
    assert not exact[:, :, 3:].any()
    noisy, again, few = (
        made("downsample", "mmps(noise_std=0.3)").given(pictures[:n], seed).observation
        for n, seed in ((4, 0), (4, 1), (2, 0))
    )
    clean = made("downsample").given(pictures, 0).observation
    assert np.std(noisy - clean) == pytest.approx(0.3, rel=0.25)
    assert np.abs(noisy - again).min() > 0
    np.testing.assert_allclose(few, noisy[:2], atol=1e-6)


def test_what_was_seen_is_shown_as_pictures(pictures: np.ndarray) -> None:
    def shown(operator: str) -> np.ndarray:
        restoration = made(operator)
        return restoration.shown(restoration.given(pictures, 0)).astype(float)

    left = shown("half")
    np.testing.assert_allclose(left[:, :, :3], pictures[:, :, :3], atol=1)
    assert (left[:, :, 3:] == 128).all()  # grey
    squares = pictures.reshape(4, 3, 2, 3, 2, 3).mean(axis=(2, 4))
    wide = squares.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(shown("downsample"), wide, atol=1.5)


def test_fidelity_is_that_of_the_formula(pictures: np.ndarray) -> None:
    off = pictures // 2 + 60
    mse = ((off.astype(float) - pictures) ** 2).mean(axis=(1, 2, 3))
    found = Fidelity.of(off, pictures)
    np.testing.assert_allclose(found.rmse, np.sqrt(mse))
    np.testing.assert_allclose(found.psnr, 10 * np.log10(255**2 / mse))
    perfect = Fidelity.of(pictures, pictures)
    assert not perfect.rmse.any() and np.isfinite(perfect.psnr).all()


def test_intervals_cover_a_mean_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    ends = np.array([mean(rng.normal(3, 1, 50)).parts[:3] for _ in range(1000)])
    assert np.mean((ends[:, 1] < 3) & (ends[:, 2] > 3)) == pytest.approx(0.95, abs=0.025)
