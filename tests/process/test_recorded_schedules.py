"""Schedules against the numbers that the authors' code gave."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules import Schedule, rate, schedules
from tests.golden.load import Case, case, cases

pytestmark = pytest.mark.usefixtures("x64")


@jax.jit
def level_and_rate(schedule: Schedule, time: Array) -> tuple[Level, Level]:
    return schedule.level(time), rate(schedule, time)


def close(value: object, recorded: np.ndarray, rtol: float = 1e-10, atol: float = 0) -> None:
    np.testing.assert_allclose(np.asarray(value), recorded, rtol=rtol, atol=atol)


def diffusion(level: Level, slope: Level) -> tuple[np.ndarray, np.ndarray]:
    """Drift factor f and diffusion g of dx = f x dt + g dw (Kingma et al. 2021, eq. 19-20)."""
    f = np.asarray(slope.alpha) / np.asarray(level.alpha)
    sigma = np.asarray(level.sigma)
    return f, np.sqrt(2 * sigma * np.asarray(slope.sigma) - 2 * f * sigma**2)


@pytest.mark.parametrize(
    ("name", "spec"), [("linear_cont", "vp_linear"), ("linear_disc1000", "ddpm_linear")]
)
def test_dpm_solver(name: str, spec: str) -> None:
    recorded, schedule = case("dpm_solver", "schedules", name), schedules.make(spec)
    level, _ = level_and_rate(schedule, jnp.asarray(recorded["t"]))
    close(level.alpha, recorded["alpha"])
    close(level.sigma, recorded["sigma"], rtol=1e-9)
    log_snr = 2 * (np.log(level.alpha) - np.log(level.sigma))
    close(log_snr / 2, recorded["lam"], rtol=1e-8, atol=1e-9)
    inside = (recorded["t_of_lam"] > 0) & (recorded["t_of_lam"] < 1)
    time = np.asarray(jax.jit(schedule.time)(jnp.asarray(2 * recorded["lam_query"])))
    close(time[inside], recorded["t_of_lam"][inside], rtol=1e-8)


@pytest.mark.parametrize("recorded", cases("score_sde", "sde_lib"), ids=repr)
def test_score_sde(recorded: Case) -> None:
    kwargs = recorded.kwargs
    spec = (
        f"ve(sigma_min={kwargs.get('sigma_min', 0.01)}, sigma_max={kwargs.get('sigma_max', 50.0)})"
        if recorded.name.startswith("ve")
        else "vp_linear"
    )
    schedule, time = schedules.make(spec), jnp.asarray(recorded["t"])
    level, slope = level_and_rate(schedule, time)
    close(level.alpha, recorded["mean_coeff"])
    close(level.sigma, recorded["std"])
    drift, noise = diffusion(level, slope)
    close(drift, recorded["drift_coeff"], atol=1e-12)
    close(noise, recorded["diffusion"], rtol=1e-9)


def test_score_sde_tables_are_ddpms() -> None:
    recorded = case("score_sde", "sde_lib", "vp")
    times = jnp.asarray(np.arange(1, 1001) / 1000)
    level, _ = level_and_rate(schedules.make("ddpm_linear"), times)
    close(np.asarray(level.alpha) ** 2, recorded["alphas_cumprod"])


@pytest.mark.parametrize("recorded", cases("guided_diffusion", "schedules"), ids=repr)
def test_guided_diffusion(recorded: Case) -> None:
    name, steps = recorded.name.split("_")
    schedule = schedules.make(f"ddpm_{name}(steps={steps})")
    level, _ = level_and_rate(schedule, jnp.asarray(np.arange(1, int(steps) + 1) / int(steps)))
    close(np.asarray(level.alpha) ** 2, recorded["alphas_cumprod"], rtol=1e-11)
    close(np.asarray(level.sigma) ** 2, 1 - recorded["alphas_cumprod"], rtol=1e-10)


@pytest.mark.parametrize(
    ("name", "spec"), [("linear_0", "ddpm_linear"), ("squaredcos_cap_v2_2", "ddpm_cosine")]
)
def test_diffusers(name: str, spec: str) -> None:
    recorded = case("diffusers", "forward_process", name)
    time = jnp.asarray((recorded["t"] + 1) / 1000)
    level, _ = level_and_rate(schedules.make(spec), time)
    x0, noise = jnp.asarray(recorded["x0"]), jnp.asarray(recorded["noise"])
    close(level.mix(x0, noise), recorded["noisy"])
    close(Level(-level.sigma, level.alpha).mix(x0, noise), recorded["velocity"])


def test_edm_on_the_variance_preserving_process() -> None:
    recorded = case("edm", "schedules", "precond_vp")
    schedule = schedules.make("vp_linear(beta_min=0.1, beta_max=20.0)")
    level, _ = level_and_rate(schedule, jnp.asarray(recorded["t"]))
    close(np.asarray(level.sigma) / np.asarray(level.alpha), recorded["sigma_of_t"])


@pytest.mark.parametrize(
    ("name", "spec"),
    [("Linear", "rectified_flow"), ("GVP", "cosine"), ("VP", "vp_linear")],
)
def test_sit(name: str, spec: str) -> None:
    recorded, schedule = case("sit", "paths", name), schedules.make(spec)
    # Their time runs from noise to data.
    level, slope = level_and_rate(schedule, jnp.asarray(1 - recorded["t"]))
    close(level.alpha, recorded["alpha"], rtol=1e-9)
    close(level.sigma, recorded["sigma"], rtol=1e-8, atol=1e-12)
    close(-np.asarray(slope.alpha), recorded["d_alpha"], rtol=1e-8, atol=1e-12)
    close(-np.asarray(slope.sigma), recorded["d_sigma"], rtol=1e-7, atol=1e-12)
