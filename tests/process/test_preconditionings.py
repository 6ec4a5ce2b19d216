"""What networks see: the same at every scale, and what they were trained to see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.process.denoiser import from_network
from diffusion_jax.process.level import Level
from diffusion_jax.process.objective import Objective
from diffusion_jax.process.preconditionings import preconditionings
from diffusion_jax.process.preconditionings.time import TimePreconditioning
from diffusion_jax.process.preconditionings.timesteps import TimestepsPreconditioning
from diffusion_jax.process.predictions import Epsilon, V, Velocity
from diffusion_jax.process.schedules import schedules
from diffusion_jax.verification.oracles import Gaussian
from tests.annotations import unchecked
from tests.members import specs

SPECS = specs(
    preconditionings,
    instead={
        "time": ("time(clock=rectified_flow, scale=1000)", "time(clock=ddpm_linear)"),
        "timesteps": ("timesteps(clock=ddpm_linear)",),
    },
)
each = pytest.mark.parametrize("spec", SPECS)
FLOW = schedules.make("rectified_flow")
DATA = Gaussian(jnp.array([0.3, -0.5]), jnp.array([0.7, 0.2]))


@each
def test_the_scale_of_the_process_is_not_seen(spec) -> None:
    seen, level = preconditionings.make(spec), Level(jnp.array([0.9, 0.1]), jnp.array([0.2, 3.0]))
    larger = Level(7 * level.alpha, 7 * level.sigma)
    np.testing.assert_allclose(seen.c_noise(larger), seen.c_noise(level), rtol=1e-5)
    np.testing.assert_allclose(
        7 * seen.input_scale(larger, 0.5), seen.input_scale(level, 0.5), rtol=1e-5
    )


@each
def test_more_noise_is_told_as_another_number_throughout(spec) -> None:
    seen = preconditionings.make(spec)
    told = np.asarray(seen.c_noise(Level.from_log_snr(jnp.linspace(9.0, -9.0, 40))))
    assert (np.diff(told) > 0).all()


@each
def test_it_is_finite_at_both_ends(spec) -> None:
    seen = preconditionings.make(spec)
    for level in (Level(jnp.array(1.0), jnp.array(0.0)), Level(jnp.array(1e-20), jnp.array(1.0))):
        assert np.isfinite([seen.c_noise(level), seen.input_scale(level, 0.5)]).all()


def flow_network(x, time, condition):
    """A network that has learnt eps - x_0 of x = (1 - t) x_0 + t eps exactly, told 1000 t."""
    level = Level(1 - time / 1000, time / 1000)
    x0 = DATA.denoise(x, level)
    return (x - x0) / level.like(x).sigma


def table_network(x, step, condition):
    """One that has learnt eps of DDPM's table exactly, told steps 0 to 999."""
    table = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    alpha = jnp.interp(step, jnp.arange(1000), jnp.asarray(np.sqrt(table), x.dtype))
    level = Level(alpha, jnp.sqrt(1 - alpha**2))
    return (x - level.like(x).alpha * DATA.denoise(x, level)) / level.like(x).sigma


@pytest.mark.parametrize("process", ["rectified_flow", "ddpm_cosine", "edm", "vp_linear"])
@pytest.mark.parametrize(
    ("network", "prediction", "seen", "tolerance"),
    [
        (flow_network, Velocity(FLOW), "time(clock=rectified_flow, scale=1000)", 1e-4),
        # The two interpolate their tables by different formulas.
        (table_network, Epsilon(), "time(clock=ddpm_linear, scale=1000, offset=-1)", 2e-3),
        (table_network, Epsilon(), "timesteps(clock=ddpm_linear)", 2e-3),
    ],
)
def test_a_network_of_one_process_denoises_in_any_other(
    process, network, prediction, seen, tolerance
) -> None:
    schedule = schedules.make(process)
    denoise = from_network(network, prediction, 0.5, preconditioning=preconditionings.make(seen))
    for log_snr in (4.0, 0.0, -3.0):
        level = schedule.level(schedule.time(jnp.array(log_snr)))
        x = level.mix(DATA.sample(jax.random.key(0), 5), jnp.ones((5, 2)))
        np.testing.assert_allclose(denoise(x, level), DATA.denoise(x, level), atol=tolerance)


def test_predictions_are_of_the_network_s_own_process() -> None:
    """v = alpha eps - sigma x_0 of DDPM's table, asked on x_0 + sigma eps."""
    data = jnp.array([[0.4, -0.2]])

    def network(x, step, condition):  # has learnt data at a single point
        level = schedules.make("ddpm_linear").level((step + 1) / 1000).like(x)
        eps = (x - level.alpha * data) / level.sigma
        return level.alpha * eps - level.sigma * data

    seen = preconditionings.make("time(clock=ddpm_linear, scale=1000, offset=-1)")
    denoise = from_network(network, V(), 0.5, preconditioning=seen)
    for sigma in (0.05, 1.0, 20.0):
        x = data + sigma * jnp.array([[1.3, 0.4]])
        found = denoise(x, Level(jnp.array(1.0), jnp.array(sigma)))
        np.testing.assert_allclose(found, data, atol=2e-3)


def test_training_asks_for_the_prediction_that_sampling_reads() -> None:
    """The target's x_0 is that of the denoiser, whatever the scale of the process."""
    objective = Objective.make(
        "edm", "v", preconditioning="time(clock=ddpm_linear, scale=1000, offset=-1)"
    )
    targets = objective.targets(jnp.array([0.3, 0.7]))
    x0, eps = jnp.array([[0.4], [-0.2]]), jnp.array([[1.0], [2.0]])
    told = targets.target(x0, eps)
    denoise = objective.denoiser(lambda x, c_noise, condition: told)
    np.testing.assert_allclose(denoise(targets.level.mix(x0, eps), targets.level), x0, atol=1e-3)


def test_a_clock_that_is_not_given_is_the_objective_s_schedule() -> None:
    schedule = schedules.make("rectified_flow(shift=3)")
    objective = Objective(schedule, Velocity(), preconditioning=TimePreconditioning())
    assert objective.preconditioning.clock == schedule
    times = np.linspace(0.1, 0.9, 5, dtype=np.float32)
    targets = objective.targets(jnp.asarray(times))
    np.testing.assert_allclose(targets.c_noise, times, atol=1e-5)
    np.testing.assert_allclose(targets.input_scale, 1, rtol=1e-5)


def test_a_clock_may_be_another_than_the_schedule() -> None:
    """SD3 shifts its flow and tells its network the noise level, not the shifted time."""
    objective = Objective.make(
        "rectified_flow(shift=3)", "velocity", preconditioning="time(clock=rectified_flow)"
    )
    targets = objective.targets(jnp.array([0.2, 0.6]))
    np.testing.assert_allclose(targets.c_noise, targets.level.sigma, rtol=1e-4)


def test_what_cannot_work_is_refused_in_a_line() -> None:
    with pytest.raises(UserError, match="scale must not be 0"):
        TimePreconditioning(scale=0)
    with pytest.raises(UserError, match="was given no schedule"):
        TimePreconditioning().c_noise(Level(jnp.array(0.5), jnp.array(0.5)))
    with unchecked(), pytest.raises(UserError, match="preconditioning must be an object"):
        Objective(schedules.make("cosine"), Epsilon(), preconditioning="time")


TABLES = ["ddpm_linear", "ddpm_cosine", "zero_terminal_snr(schedule=ddpm_linear)"]


@pytest.mark.parametrize("spec", TABLES)
def test_every_entry_of_a_table_is_told_as_itself(spec) -> None:
    """Also the last, of which some have hardly any signal and one has none."""
    table = schedules.make(spec)
    level = table.level((jnp.arange(1000) + 1) / 1000)
    seen = TimestepsPreconditioning(table, 1000, "nearest")
    np.testing.assert_array_equal(seen.c_noise(level)[-20:], np.arange(980, 1000))
