"""Every solver converges at its stated order, on every schedule, through every prediction."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array
from scipy.integrate import solve_ivp

from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import predictions
from diffusion_jax.process.schedules import schedules
from diffusion_jax.process.schedules.table import Table
from diffusion_jax.sampling.solvers import solvers
from diffusion_jax.verification import orders as measured_orders
from diffusion_jax.verification.exact_levels import (
    between,
    order_of,
    stack,
    tabulated,
    thinned,
    with_clean,
)
from diffusion_jax.verification.orders import STEPS, Cases, cases, orders, run
from tests.golden.problems import mixture
from tests.members import PREDICTIONS, SCHEDULES, SOLVERS

pytestmark = pytest.mark.usefixtures("x64")

FIXED = [spec for spec in SOLVERS if not solvers.make(spec).adaptive]
DETERMINISTIC = [spec for spec in FIXED if not solvers.make(spec).stochastic]
TOLERANCE = 0.3
# Orders that show at more steps than the others.
LATE = (("runge_kutta(method=heun)", "sigmoid"),)
LATE_STEPS = (160, 320, 640)
OWN_TIME = ("heun", "midpoint", "runge_kutta")


@functools.cache
def all_cases() -> Cases:
    return cases(SCHEDULES, PREDICTIONS)


@pytest.fixture(scope="module", autouse=True)
def _cases_are_made_once() -> None:
    """Before the mark `optimized` applies: many small programs that each run once."""
    with jax.enable_x64(True):
        all_cases()


@functools.cache
def measured(spec: str) -> dict[tuple[str, str], dict[int, float]]:
    """Distance from the exact flow by step count, for every (schedule, prediction)."""
    return measured_orders.errors(solvers.make(spec), all_cases())


@pytest.mark.optimized
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("solver", DETERMINISTIC)
def test_order(solver: str, schedule: str) -> None:
    found = {case: errors for case, errors in measured(solver).items() if case[0] == schedule}
    assert [prediction for _, prediction in found] == PREDICTIONS
    assert all(tuple(errors) == STEPS for errors in found.values())
    table = getattr(schedules.make(schedule), "schedule", schedules.make(schedule))
    if solver.startswith(OWN_TIME) and isinstance(table, Table):
        # In a table's own time the velocity jumps at each entry. The method is of second order
        # at least, down to the size of the jumps.
        resolution = 0.6 / table.log_alpha.size
        for errors in found.values():
            assert all(error < 1.2 / steps**2 + resolution for steps, error in errors.items())
        return
    stated = solvers.make(solver).order
    if solver.startswith(OWN_TIME) and schedule == "laplace":
        stated = min(stated, 2)  # in its time the velocity has a kink in the middle
    if (solver, schedule) in LATE:
        more = cases((schedule,), PREDICTIONS, LATE_STEPS)
        found = measured_orders.errors(solvers.make(solver), more)
    for (_, prediction), order in orders(found).items():
        assert abs(order - stated) < TOLERANCE, f"{prediction}: {order:.2f}, stated {stated}"


CURVED = ("edm", "cosine", "rectified_flow")
CURVED_STEPS = (100, 200, 400)


@functools.cache
def mixture_end() -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends of the flow of a mixture in z = x/alpha, from s = e to s = e^-1."""
    data = mixture()
    starts = np.random.default_rng(1).normal(size=(4, 2)) * np.e

    @jax.jit
    def slope(log_s: Array, z: Array) -> Array:
        s = jnp.exp(log_s)
        return (z - data.denoise(z, Level(jnp.ones_like(s), s))).ravel()

    found = solve_ivp(
        lambda t, z: np.asarray(slope(jnp.asarray(t), jnp.asarray(z.reshape(4, 2)))),
        (1.0, -1.0),
        starts.ravel(),
        method="DOP853",
        rtol=1e-11,
        atol=1e-11,
    )
    return starts, found.y[:, -1].reshape(4, 2)


@pytest.mark.parametrize("solver", DETERMINISTIC)
def test_order_where_the_denoiser_is_not_linear(solver: str) -> None:
    starts, ends = mixture_end()
    finest = [between(schedules.make(spec), -2.0, 2.0, max(CURVED_STEPS)) for spec in CURVED]
    cases = [(nodes, steps) for nodes in finest for steps in CURVED_STEPS]
    grids = [thinned(nodes, max(CURVED_STEPS) // steps) for nodes, steps in cases]
    kind = predictions.make("v")
    padded = [
        with_clean(nodes, max(CURVED_STEPS) - steps + 1)
        for nodes, (_, steps) in zip(grids, cases, strict=True)
    ]
    x = jnp.asarray(np.stack([float(nodes.level.alpha[0]) * starts for nodes in grids]))
    kinds = stack([tabulated(kind, nodes) for nodes in padded])
    states = np.asarray(run(solvers.make(solver), mixture(), stack(padded), kinds, x))
    errors = np.array(
        [
            np.abs(states[i, steps - 1] / np.asarray(grids[i].level.alpha[-1]) - ends).max()
            for i, (_, steps) in enumerate(cases)
        ]
    ).reshape(len(CURVED), -1)
    for spec, error in zip(CURVED, errors, strict=True):
        order = order_of(error, CURVED_STEPS)
        assert abs(order - solvers.make(solver).order) < TOLERANCE, f"{spec}: {order:.2f}"
