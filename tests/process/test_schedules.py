"""The contract that every noise schedule keeps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array
from scipy import stats

from diffusion_jax.process.schedules import Schedule, rate, schedules
from diffusion_jax.registry import Spec, parse
from tests.members import ONE_SCHEDULE_EACH, SCHEDULES

EPS32 = float(np.finfo(np.float32).eps)
every_schedule = pytest.mark.parametrize("spec", SCHEDULES)


def tabulate(schedule: Schedule, relative: Array) -> dict[str, Array]:
    """Everything that a schedule says, at relative times from 0 (t_min) to 1 (t_max)."""
    low, high = schedule.t_min, schedule.t_max
    time = low + relative * (high - low)
    # The ends themselves, not what rounding makes of them.
    time = jnp.where(relative == 0, low, jnp.where(relative == 1, high, time))
    level = schedule.level(time)
    again = schedule.time(level.log_snr)
    return {
        "time": time,
        "alpha": level.alpha,
        "sigma": level.sigma,
        "log_snr": level.log_snr,
        "time_again": again,
        "log_snr_again": schedule.level(again).log_snr,
    }


@functools.cache
def table(spec: str, double: bool) -> dict[str, np.ndarray]:
    with jax.enable_x64(double):
        # Operation by operation, as all schedules share the compiled ones.
        values = tabulate(schedules.make(spec), jnp.asarray(np.linspace(0, 1, 1000), float))
    return {name: np.asarray(value) for name, value in values.items()}


def conditioning(values: dict[str, np.ndarray]) -> np.ndarray:
    """How many units of rounding the log-SNR may be off: its own, and those of the time."""
    log_snr, time = values["log_snr"].astype(float), values["time"].astype(float)
    with np.errstate(invalid="ignore"):
        return 1 + np.abs(log_snr) + np.abs(np.gradient(log_snr, time)) * time


@every_schedule
@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
class TestContract:
    def test_levels_are_finite_from_end_to_end(self, spec: str, double: bool) -> None:
        values = table(spec, double)
        assert values["alpha"].dtype == (np.float64 if double else np.float32)
        for name in ("alpha", "sigma"):
            assert np.isfinite(values[name]).all()
            assert (values[name] >= 0).all()

    def test_noise_grows_strictly_with_time(self, spec: str, double: bool) -> None:
        values = table(spec, double)
        assert (np.diff(values["time"]) > 0).all()
        assert np.isfinite(values["log_snr"][1:-1]).all(), "only an end may be without a term"
        assert (np.diff(values["log_snr"]) < 0).all()

    def test_time_inverts_level(self, spec: str, double: bool) -> None:
        values = table(spec, double)
        eps = float(np.finfo(values["time"].dtype).eps)
        inner = {name: value[1:-1] for name, value in values.items()}
        off = np.abs(inner["log_snr_again"] - inner["log_snr"])
        assert (off <= 128 * eps * conditioning(values)[1:-1]).all()
        ends = np.abs(values["time_again"] - values["time"])[[0, -1]]
        assert (ends <= 1e-4 * np.ptp(values["time"])).all(), "also where a term vanishes"


@every_schedule
def test_float32_agrees_with_float64(spec: str) -> None:
    single, double = table(spec, double=False), table(spec, double=True)
    inner = slice(1, -1)
    off = np.abs(single["log_snr"][inner] - double["log_snr"][inner])
    assert (off <= 128 * EPS32 * conditioning(double)[inner]).all()


@every_schedule
@pytest.mark.usefixtures("x64")
def test_rate_is_the_derivative_of_the_level(spec: str) -> None:
    schedule = schedules.make(spec)
    span = schedule.t_max - schedule.t_min
    time = schedule.t_min + span * jnp.asarray(np.linspace(0.02, 0.98, 1000) ** 1.01)
    step = 1e-6 * span
    before, slope, after = (
        schedule.level(time - step),
        rate(schedule, time),
        schedule.level(time + step),
    )
    before, slope, after = jax.tree.map(np.asarray, (before, slope, after))
    for name in ("alpha", "sigma"):
        difference = (getattr(after, name) - getattr(before, name)) / (2 * np.asarray(step))
        scale = np.abs(difference).max()
        agree = np.isclose(getattr(slope, name), difference, rtol=1e-6, atol=1e-8 * scale)
        assert agree.mean() > 0.99, "all but where a step crosses an entry of a table"


def middle(schedule: Schedule) -> Array:
    """The log-SNR seven tenths of the way to the noise, which depends on all settings."""
    time = 0.3 * schedule.t_min + 0.7 * schedule.t_max
    return schedule.level(jnp.asarray(time)).log_snr


WITH_SETTINGS = [spec for spec in ONE_SCHEDULE_EACH if jax.tree.leaves(schedules.make(spec))]


@pytest.mark.parametrize("spec", WITH_SETTINGS)
@pytest.mark.usefixtures("x64")
def test_settings_can_be_mapped_and_differentiated(spec: str) -> None:
    schedule = schedules.make(spec)
    schedule = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), schedule)
    away = jax.tree.map(lambda leaf: 0.1 * leaf + 0.01, schedule)

    def moved(amount: Array) -> Schedule:
        return jax.tree.map(lambda leaf, by: leaf + amount * by, schedule, away)

    amounts = np.array([-1e-4, 0.0, 1e-4])
    mapped = jax.jit(lambda by: jax.vmap(middle)(jax.vmap(moved)(by)))(amounts)
    single, slope = jax.jit(jax.value_and_grad(lambda by: middle(moved(by))))(amounts[1])
    mapped = np.asarray(mapped)
    np.testing.assert_allclose(mapped[1], single, rtol=1e-12)
    assert np.isfinite(slope)
    np.testing.assert_allclose(slope, (mapped[2] - mapped[0]) / 2e-4, rtol=1e-5, atol=1e-7)


# Members whose levels are not on the variance-preserving curve.
CURVES = {
    "ve": "exploding",
    "ve_sqrt": "exploding",
    "edm": "exploding",
    "rectified_flow": "straight",
    "polynomial": "straight",
    "sub_vp": "sub",
}


def curve(parsed: Spec) -> str:
    """The curve on which a schedule is, by its spec: that of the one it is made from, if any."""
    if parsed.name == "rescaled":
        return parsed.settings["curve"].name
    if parsed.name in ("log_snr_shift", "interpolated_shift", "noise_scaled"):
        return curve(parsed.settings["schedule"])
    return CURVES.get(parsed.name, "preserving")


@every_schedule
@pytest.mark.parametrize(("double", "tolerance"), [(False, 6e-7), (True, 1e-15)])
def test_levels_are_on_the_curve_they_claim(spec: str, double: bool, tolerance: float) -> None:
    values = table(spec, double)
    scale = parse(spec).settings.get("scale", 1.0)
    alpha, sigma = values["alpha"], values["sigma"] / scale
    claims = {
        "preserving": alpha**2 + sigma**2,
        "exploding": alpha,
        "straight": alpha + sigma,
        "sub": alpha**2 + sigma,
    }
    np.testing.assert_allclose(claims[curve(parse(spec))], 1, atol=tolerance)


@pytest.mark.usefixtures("x64")
class TestPapers:
    """Formulas as the papers print them, in numpy."""

    time = np.linspace(0.01, 0.99, 50)

    def level(self, spec: str) -> tuple[np.ndarray, np.ndarray]:
        level = schedules.make(spec).level(jnp.asarray(self.time))
        return np.asarray(level.alpha), np.asarray(level.sigma)

    @pytest.mark.parametrize(("start", "end", "tau"), [(-3.0, 3.0, 1.0), (0.0, 3.0, 0.3)])
    def test_sigmoid_is_jabri_2022_algorithm_1(self, start: float, end: float, tau: float) -> None:
        def s(z: np.ndarray | float) -> np.ndarray:
            return 1 / (1 + np.exp(-z))

        gamma = s((self.time * (end - start) + start) / tau)
        gamma = (s(end / tau) - gamma) / (s(end / tau) - s(start / tau))
        alpha, sigma = self.level(f"sigmoid(start={start}, end={end}, tau={tau})")
        np.testing.assert_allclose(alpha**2, gamma, rtol=1e-10)
        np.testing.assert_allclose(sigma**2, 1 - gamma, rtol=1e-9)

    def test_cosine_is_simple_diffusions(self) -> None:
        alpha, sigma = self.level("cosine")
        np.testing.assert_allclose(alpha / sigma, 1 / np.tan(np.pi * self.time / 2), rtol=1e-12)

    @pytest.mark.parametrize("shift", [0.5, 3.0])
    def test_flow_shift_is_sd3_equation_23(self, shift: float) -> None:
        _, sigma = self.level(f"rectified_flow(shift={shift})")
        shifted = shift * self.time / (1 + (shift - 1) * self.time)
        np.testing.assert_allclose(sigma, shifted, rtol=1e-13)

    def test_flow_shift_is_a_log_snr_shift(self) -> None:
        shifted = f"log_snr_shift(schedule=rectified_flow, shift={-2 * np.log(3)})"
        for one, other in zip(
            self.level(shifted), self.level("rectified_flow(shift=3.0)"), strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-11)

    def test_ddpm_tables_last_entry_has_the_printed_signal(self) -> None:
        # Lin et al. 2023, table 1: sqrt(alpha_bar_T) and SNR(T).
        last = schedules.make("ddpm_linear").level(jnp.asarray(1.0))
        assert float(last.alpha) == pytest.approx(0.006353, abs=1e-6)
        assert float(jnp.exp(last.log_snr)) == pytest.approx(4.035993e-05, rel=1e-5)
        last = schedules.make("ddpm_cosine").level(jnp.asarray(1.0))
        assert float(jnp.exp(last.log_snr)) == pytest.approx(2.428735e-09, rel=1e-5)

    @pytest.mark.parametrize(("mean", "scale"), [(0.0, 0.5), (1.0, 0.7)])
    @pytest.mark.parametrize("name", ["laplace", "cauchy"])
    def test_hang_2024s_uniform_times_have_the_density_of_the_name(
        self, name: str, mean: float, scale: float
    ) -> None:
        alpha, sigma = self.level(f"{name}(mean={mean}, scale={scale})")
        # Noise grows with time, so the log-SNR at time t is the quantile of 1 - t.
        quantiles = getattr(stats, name)(mean, scale).ppf(1 - self.time)
        np.testing.assert_allclose(2 * np.log(alpha / sigma), quantiles, rtol=1e-9, atol=1e-12)

    @pytest.mark.parametrize("power", [1.0, 2.5])
    def test_polynomial_is_lipman_2024s_convex_path(self, power: float) -> None:
        alpha, sigma = self.level(f"polynomial(power={power})")
        np.testing.assert_allclose(alpha, (1 - self.time) ** power, rtol=1e-13)
        np.testing.assert_allclose(sigma, 1 - (1 - self.time) ** power, rtol=1e-13)

    def test_linear_vp_is_lipman_2024s(self) -> None:
        alpha, sigma = self.level("linear_vp")
        np.testing.assert_allclose(alpha, 1 - self.time, rtol=1e-15)
        np.testing.assert_allclose(sigma, np.sqrt(1 - (1 - self.time) ** 2), rtol=1e-12)

    def test_interpolated_shift_is_simple_diffusions(self) -> None:
        # Section 3.2 for 512 × 512, from shifts made for 32 and 256.
        noisy, clean = 2 * np.log(32 / 512), 2 * np.log(256 / 512)
        spec = f"interpolated_shift(schedule=cosine, clean={clean}, noisy={noisy})"
        low, high = (np.arctan(np.exp(-bound / 2)) for bound in (15.0, -15.0))
        schedule = schedules.make(spec)
        time = 2 / np.pi * (low + self.time[:40] * (high - low))
        found = schedule.level(jnp.asarray(time)).log_snr
        plain = -2 * np.log(np.tan(low + self.time[:40] * (high - low)))
        paper = self.time[:40] * (plain + noisy) + (1 - self.time[:40]) * (plain + clean)
        np.testing.assert_allclose(found, paper, rtol=1e-12, atol=1e-12)
        assert float(schedule.level(jnp.asarray(schedule.t_max)).log_snr) == pytest.approx(-15)

    def test_zero_terminal_snr_is_lin_2023_algorithm_1(self) -> None:
        betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
        root = np.sqrt(np.cumprod(1 - betas))
        root = (root - root[-1]) * root[0] / (root[0] - root[-1])
        schedule = schedules.make("zero_terminal_snr(schedule=scaled_linear)")
        level = schedule.level(jnp.arange(1, 1001) / 1000)
        np.testing.assert_allclose(level.alpha, root, rtol=1e-11)
        np.testing.assert_allclose(level.sigma, np.sqrt(1 - root**2), rtol=1e-12)

    @pytest.mark.parametrize("curve", ["preserving", "exploding", "straight"])
    def test_rescaling_keeps_the_log_snr(self, curve: str) -> None:
        alpha, sigma = self.level("sub_vp")
        found, noise = self.level(f"rescaled(schedule=sub_vp, curve={curve})")
        np.testing.assert_allclose(noise / found, sigma / alpha, rtol=1e-12)

    def test_the_quadratic_table_of_ddpm(self) -> None:
        found = schedules.make("scaled_linear(beta_min=0.0001, beta_max=0.02)")
        betas = np.linspace(0.0001**0.5, 0.02**0.5, 1000) ** 2
        np.testing.assert_allclose(2 * found.log_alpha, np.cumsum(np.log(1 - betas)), rtol=1e-11)

    def test_log_snr_table_is_geometric_in_sigma_between_entries(self) -> None:
        betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
        signal = np.cumprod(1 - betas)
        sigma = np.sqrt((1 - signal) / signal)
        schedule = schedules.make("log_snr_table(schedule=scaled_linear)")
        place = np.array([0.0, 0.5, 123.25, 998.9, 999.0])
        below, share = np.minimum(place.astype(int), 998), place - np.minimum(place // 1, 998)
        expected = sigma[below] ** (1 - share) * sigma[below + 1] ** share
        found = schedule.level(jnp.asarray((place + 1) / 1000)).noise_to_signal
        np.testing.assert_allclose(found, expected, rtol=1e-10)
        # What the network does not know is shown to it as the nearest that it does.
        beyond = schedule.time(jnp.array([50.0, -50.0]))
        np.testing.assert_allclose(beyond, [0.001, 1.0], rtol=1e-12)
