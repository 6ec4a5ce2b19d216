"""Training times: quantile functions of stated distributions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from diffusion_jax.process.schedules import schedules
from diffusion_jax.process.time_samplers import LowDiscrepancy, log_snr_slope, time_samplers
from tests.members import ONE_SCHEDULE_EACH, TIMES
from tests.process.density import COUNT, table

pytestmark = pytest.mark.optimized  # Beta quantiles are found by halving

QUANTILES = np.linspace(0.0005, 0.9995, 1000)
# The default log-normal leaves both of these schedules' ends untouched.
UNCLIPPED = ("edm", "rectified_flow")


@pytest.mark.parametrize("schedule", ONE_SCHEDULE_EACH)
def test_times_stay_within_the_schedule_and_never_turn_back(schedule: str) -> None:
    process = schedules.make(schedule)
    for spec in TIMES:
        time = time_samplers.make(spec).time(jnp.asarray(QUANTILES, jnp.float32), process)
        assert np.isfinite(time).all()
        assert process.t_min <= time.min()
        assert time.max() <= process.t_max
        assert (np.diff(time) >= 0).all()


@pytest.mark.parametrize("schedule", ONE_SCHEDULE_EACH)
def test_slope_is_the_inverse_density_of_log_snr(schedule: str) -> None:
    # Every schedule, and every distribution, but not each with each: they are compiled apart.
    for spec in TIMES if schedule in UNCLIPPED else ("uniform", "log_normal"):
        tabulated = table(schedule, spec)
        slope, difference = tabulated["slope"], tabulated["difference"]
        finite = np.isfinite(difference)  # a discrete time may be the end itself
        assert (slope[finite] >= 0).all()
        # Neighbours are far apart near the ends, and may have an entry of a table between them.
        agree = np.isclose(slope, difference, rtol=0.02)
        assert agree[COUNT // 20 : -COUNT // 20].mean() > 0.98
        ratio = slope[finite] / (difference[finite] + 1e-300)
        np.testing.assert_allclose(np.median(ratio), 1, rtol=3e-3)

        # In plain words: a histogram of the log-SNR of even quantiles has the density 1/slope.
        # Some schedules' ends are at infinity, and what is clipped to an end has no density.
        inner = np.flatnonzero(slope[50:-50] > 0) + 50
        log_snr, density = tabulated["log_snr"][inner], 1 / slope[inner]
        counts, edges = np.histogram(log_snr, bins=12)
        full = counts > 30
        for low, high in zip(edges[:-1][full], edges[1:][full], strict=True):
            inside = (low <= log_snr) & (log_snr < high)
            share = np.trapezoid(density[inside], -log_snr[inside])
            assert (inside.sum() - 1) / COUNT == pytest.approx(share, rel=0.1)


@pytest.mark.parametrize("schedule", UNCLIPPED)
@pytest.mark.parametrize(("mean", "std"), [(-1.2, 1.2), (0.5, 0.7)])
@pytest.mark.usefixtures("x64")
def test_log_normal(schedule: str, mean: float, std: float) -> None:
    process = schedules.make(schedule)
    distribution = time_samplers.make(f"log_normal(mean={mean}, std={std})")
    level = process.level(distribution.time(jnp.asarray(QUANTILES), process))
    expected = stats.lognorm(s=std, scale=np.exp(mean)).ppf(QUANTILES)
    np.testing.assert_allclose(level.noise_to_signal, expected, rtol=1e-9)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.5, 1.3)])
@pytest.mark.usefixtures("x64")
def test_logit_normal(mean: float, std: float) -> None:
    distribution = time_samplers.make(f"logit_normal(mean={mean}, std={std})")
    time = distribution.time(jnp.asarray(QUANTILES), schedules.make("rectified_flow"))
    logit = np.log(time) - np.log1p(-np.asarray(time))
    np.testing.assert_allclose(stats.norm(mean, std).cdf(logit), QUANTILES, rtol=1e-9)


@pytest.mark.usefixtures("x64")
def test_uniform() -> None:
    process = schedules.make("edm")
    time = time_samplers.make("uniform").time(jnp.asarray(QUANTILES), process)
    np.testing.assert_allclose(stats.uniform(0.002, 79.998).cdf(time), QUANTILES, rtol=1e-12)


@given(u=st.floats(2.0**-24, 1 - 2.0**-24, width=32), count=st.sampled_from((1, 2, 5, 16)))
def test_low_discrepancy_puts_one_draw_into_each_stratum(u: float, count: int) -> None:
    draws = jnp.full(count, u, jnp.float32)
    spread = np.asarray(LowDiscrepancy().stratify(draws), float)
    assert (spread > 0).all()
    assert (spread < 1).all()
    gaps = np.diff(np.sort(spread), append=np.sort(spread)[0] + 1)
    np.testing.assert_allclose(gaps, 1 / count, atol=1e-6)


def test_a_low_discrepancy_draw_alone_is_uniform() -> None:
    first = jnp.linspace(0, 1, 1001)[:-1]
    spread = jax.vmap(lambda u: LowDiscrepancy().stratify(jnp.full(5, u)))(first)
    for position in range(5):
        assert stats.kstest(np.asarray(spread[:, position]), "uniform").statistic < 2e-3


def test_draws_are_finite_however_the_first_one_falls() -> None:
    # 1/2 + (1/2 - 2^-25) rounds to 1 in float32, whose quantile would be infinite.
    distribution = time_samplers.make("low_discrepancy(time_sampler=log_normal)")
    u = distribution.stratify(jnp.array([0.5 - 2.0**-25, 0.9]))
    assert np.isfinite(log_snr_slope(distribution, schedules.make("edm"), u)).all()


def test_other_distributions_leave_draws_alone() -> None:
    u = jnp.array([0.3, 0.9, 0.1])
    assert (time_samplers.make("uniform").stratify(u) == u).all()
