"""Training times are the distributions that their papers state."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from diffusion_jax.errors import UserError
from diffusion_jax.process.schedules import schedules
from diffusion_jax.process.time_samplers import time_samplers

pytestmark = [pytest.mark.usefixtures("x64"), pytest.mark.optimized]

U = np.linspace(0.0005, 0.9995, 1000)
ENDLESS = "edm(sigma_min=1e-9, sigma_max=1e9)"


def drawn(spec: str, schedule: str) -> np.ndarray:
    return np.asarray(time_samplers.make(spec).time(jnp.asarray(U), schedules.make(schedule)))


def density(spec: str) -> tuple[np.ndarray, np.ndarray]:
    """Times on the straight path and their density there, by differentiation."""
    member, path = time_samplers.make(spec), schedules.make("rectified_flow")
    slope = jax.jvp(lambda u: member.time(u, path), (jnp.asarray(U),), (jnp.ones(U.shape),))[1]
    return drawn(spec, "rectified_flow"), 1 / np.asarray(slope)


@pytest.mark.parametrize(("a", "b"), [(1.5, 1.0), (0.6, 2.0), (3.0, 0.7)])
def test_beta(a: float, b: float) -> None:
    t, found = density(f"beta(a={a}, b={b})")
    np.testing.assert_allclose(t, stats.beta(a, b).ppf(U), rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(found, stats.beta(a, b).pdf(t), rtol=1e-6)


def test_beta_is_finite_where_a_quantile_rounds_to_the_end() -> None:
    u, path = jnp.float32(1 - 2.0**-23), schedules.make("rectified_flow")
    assert stats.beta(100, 1).ppf(float(u)) == pytest.approx(1, abs=1e-8)
    assert float(time_samplers.make("beta(a=100.0)").time(u, path)) == pytest.approx(1, abs=2e-7)


def test_cosmap_is_sd3_equation_21() -> None:
    t, found = density("cosmap")
    np.testing.assert_allclose(found, 2 / (np.pi * (1 - 2 * t + 2 * t**2)), rtol=1e-10)


@pytest.mark.parametrize("scale", [-1.0, 0.0, 1.29, 1.75])
def test_mode_is_sd3_equation_20(scale: float) -> None:
    flipped = 1 - U  # their u runs from noise to data
    paper = 1 - flipped - scale * (np.cos(np.pi / 2 * flipped) ** 2 - 1 + flipped)
    np.testing.assert_allclose(drawn(f"mode(scale={scale})", "rectified_flow"), paper, atol=1e-14)


def test_log_uniform_is_flat_in_log_snr() -> None:
    sigma = drawn("log_uniform(sigma_min=0.01, sigma_max=50)", "edm")
    np.testing.assert_allclose(np.log(sigma), stats.uniform(np.log(0.01), np.log(5e3)).ppf(U))


def test_log_logistic_is_the_truncated_distribution() -> None:
    sigma = drawn("log_logistic(mean=-0.5, scale=0.6, sigma_min=0.01, sigma_max=50)", "edm")
    whole = stats.logistic(-0.5, 0.6)
    low, high = whole.cdf(np.log(0.01)), whole.cdf(np.log(50))
    np.testing.assert_allclose((whole.cdf(np.log(sigma)) - low) / (high - low), U, atol=1e-12)


def test_split_log_normal_with_equal_halves_is_normal() -> None:
    both = [drawn(f"{name}, std{rest})", "edm") for name, rest in HALVES]
    np.testing.assert_allclose(*both, rtol=1e-9)


HALVES = (
    ("split_log_normal(mode=-0.4", "_low=1.1, std_high=1.1"),
    ("log_normal(mean=-0.4", "=1.1"),
)


def test_cosine_is_the_time_of_the_cosine_schedule() -> None:
    cosine = schedules.make("cosine")
    level = cosine.level(jnp.asarray(U))
    wide = drawn("cosine(sigma_data=1.0, sigma_min=1e-9, sigma_max=1e9)", ENDLESS)
    np.testing.assert_allclose(wide, level.noise_to_signal, rtol=1e-5)


def test_cosine_interpolated_is_simple_diffusions_shift_where_both_ends_agree() -> None:
    spec = (
        "cosine_interpolated(size=256, noise_size_low=64, noise_size_high=64, sigma_data=1.0, "
        "sigma_min=1e-9, sigma_max=1e9)"
    )
    found = time_samplers.make(spec).time(jnp.asarray(U), schedules.make(ENDLESS))
    np.testing.assert_allclose(found, np.tan(np.pi / 2 * U) * 4, rtol=1e-5)


def test_discrete_times_are_the_entries_of_a_table() -> None:
    table = schedules.make("ddpm_linear(steps=50)")
    t = drawn("discrete(steps=50)", "ddpm_linear(steps=50)")
    np.testing.assert_allclose(np.unique(t.round(12)), np.arange(1, 51) / 50)
    assert (np.unique(t, return_counts=True)[1] == 20).all()
    first = table.level(jnp.asarray(t[:1]))
    np.testing.assert_allclose(first.alpha**2, 1 - 1e-4 * 20, rtol=1e-12)


def test_quantiles_have_equal_shares_between_them() -> None:
    sigma = drawn("quantiles(log_noise=(-3, -1, 0, 2, 3))", "edm")
    counts = np.histogram(np.log(sigma), [-3, -1, 0, 2, 3])[0]
    assert (np.abs(counts - 250) <= 1).all()


def test_antithetic_draws_come_in_pairs() -> None:
    member = time_samplers.make("antithetic(time_sampler=log_normal)")
    for count in (1, 6, 7):
        u = jnp.asarray(np.random.default_rng(0).uniform(size=count))
        paired = np.asarray(member.stratify(u))
        assert paired.shape == (count,)
        half = count // 2
        np.testing.assert_allclose(paired[:half] + paired[count - half :], 1, rtol=1e-12)


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ("mode(scale=3)", "scale"),
        ("beta(a=0)", "a must be positive"),
        ("quantiles(log_noise=(1.0, 0.5))", "increasing"),
        ("discrete(steps=0)", "steps"),
        ("log_uniform(sigma_min=2, sigma_max=1)", "less than"),
    ],
)
def test_wrong_settings_are_refused(spec: str, word: str) -> None:
    with pytest.raises(UserError, match=word):
        time_samplers.make(spec)
