"""Going back to noise and down again."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from jaxtyping import Array

from diffusion_jax.errors import UserError
from diffusion_jax.inference.measure import Sampling, SamplingPlan
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.checks import check_start
from diffusion_jax.sampling.grids import Nodes, grids, make, rises
from diffusion_jax.sampling.guidance import guidance
from diffusion_jax.sampling.loop import prior, sample_from, sample_keys
from diffusion_jax.sampling.sampling_run import next_level
from diffusion_jax.sampling.solvers import Solver, solvers
from diffusion_jax.sampling.thresholds import NoThreshold
from diffusion_jax.verification.exact_levels import stack
from diffusion_jax.verification.moments import exact_moments, moments
from diffusion_jax.verification.oracles import Gaussian, GaussianMixture
from tests.golden.padding import pad
from tests.golden.problems import mixture
from tests.sampling.exact import compiled

GRID = "restart(low=0.5, high=4.0, times=2, steps=3)"
STEPS, DOWN = 16, 14
UP = 2
INSIDE = "karras(sigma_min=0.05, sigma_max=20.0)"


def nodes_of(grid: str = GRID, schedule: str = "cosine", steps: int = STEPS) -> Nodes:
    return compiled(grids.make(grid), schedules.make(schedule), steps)


def ratio(nodes: Nodes) -> np.ndarray:
    return np.asarray(nodes.level.noise_to_signal)


def solve(solver: str, nodes: Nodes, x: Array, denoise: Any = None) -> tuple[Array, Array]:
    """The samples, and the state after each step."""
    whole = Partial(denoise) if denoise else Partial(GaussianMixture.denoise, mixture())
    return solved(whole, solvers.make(solver), nodes, x)


@jax.jit
def solved(denoise: Any, solver: Solver, nodes: Nodes, x: Array) -> tuple[Array, Array]:
    keys = sample_keys(jax.random.key(3), len(x))
    return sample_from(denoise, solver, nodes, x, keys, save=lambda state: state.x)


def start_of(nodes: Nodes, count: int = 8) -> Array:
    return prior(nodes, sample_keys(jax.random.key(3), count), (2,))


@pytest.mark.usefixtures("x64")
class TestTheGrid:
    @pytest.mark.parametrize("schedule", ["edm", "cosine", "rectified_flow"])
    def test_is_the_grid_inside_with_ways_down_from_high_put_in(self, schedule: str) -> None:
        inside = ratio(nodes_of("karras", schedule, STEPS - 8))
        low = np.argmin(np.abs(np.log(inside[:-1] / 0.5)))
        way = np.linspace(4 ** (1 / 7), inside[low] ** (1 / 7), 4) ** 7
        wanted = np.concatenate([inside[: low + 1], way, way, inside[low + 1 :]])
        np.testing.assert_allclose(ratio(nodes_of(schedule=schedule)), wanted, rtol=1e-6)

    def test_it_comes_back_to_the_very_node_that_it_left(self) -> None:
        nodes = nodes_of()
        up = np.flatnonzero(nodes.rises)
        assert len(up) == rises(grids.make(GRID)) == UP
        for values in jax.tree.leaves(nodes):
            assert values[up[0]] == values[up[0] + 4] == values[up[1] + 4]

    def test_intervals_nest(self) -> None:
        spec = "restart(grid=restart(low=2.0, high=9.0, times=1), low=0.1, high=0.3, times=3)"
        grid = grids.make(spec)
        nodes = compiled(grid, schedules.make("edm"), 30)
        jumps = ratio(nodes)[1:][np.asarray(nodes.rises)]
        np.testing.assert_allclose(jumps, [9, 0.3, 0.3, 0.3], rtol=1e-9)
        assert rises(grid) == rises(grids.make(f"until_noisy(grid={spec})")) == 4

    def test_high_is_no_higher_than_the_schedule(self) -> None:
        nodes = nodes_of(schedule="ve(sigma_max=3.0)")
        assert ratio(nodes).max() == pytest.approx(3)

    @pytest.mark.parametrize(
        ("grid", "steps", "message"),
        [
            (GRID, 9, "8 of them are its own"),
            ("restart(grid=karras(sigma_min=1.0))", 9, "is not below high"),
        ],
    )
    def test_it_tells_where_there_is_no_room(self, grid: str, steps: int, message: str) -> None:
        with pytest.raises(UserError, match=message):
            make(grids.make(grid), schedules.make("edm"), steps)

    def test_an_interval_upside_down_is_refused(self) -> None:
        with pytest.raises(UserError, match="less than"):
            grids.make("restart(low=0.3, high=0.1)")


@pytest.mark.usefixtures("x64")
class TestTheSolver:
    @pytest.mark.parametrize(
        "inner",
        ["heun", "edm(churn=20.0)", "dpmpp_2m", "unipc", "ddim(eta=1.0)", "dpm_solver_fast"],
    )
    def test_on_a_plain_grid_it_is_the_inner_solver(self, inner: str) -> None:
        nodes = nodes_of(INSIDE, steps=6).pad(8)
        x = start_of(nodes)
        ours, theirs = solve(f"restart(solver={inner})", nodes, x), solve(inner, nodes, x)
        np.testing.assert_allclose(ours[0], theirs[0], rtol=0, atol=1e-13)

    @pytest.mark.parametrize("inner", ["edm", "dpmpp_2m", "unipc", "dpm_solver_fast"])
    def test_each_way_down_is_a_run_of_its_own(self, inner: str) -> None:
        nodes = nodes_of()
        x, states = solve(f"restart(solver={inner})", nodes, start_of(nodes))
        ups = np.flatnonzero(nodes.rises)
        starts, ends = [0, *(ups + 1)], [*ups, STEPS]
        frames = np.concatenate([np.asarray(start_of(nodes))[None], np.asarray(states)])
        for first, last in zip(starts, ends, strict=True):
            way = jax.tree.map(lambda v, f=first, t=last: np.asarray(v)[f : t + 1], nodes)
            # All of one length, as padding does nothing.
            way = jax.tree.map(lambda values: pad(values, STEPS + 1), way)
            alone = solve(inner, way, jnp.asarray(frames[first]))[0]
            np.testing.assert_allclose(frames[last], alone, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(frames[-1], x)

    @pytest.mark.parametrize("schedule", ["edm", "cosine", "rectified_flow"])
    def test_noise_added_to_the_exact_distribution_gives_the_exact_one(self, schedule: str) -> None:
        # DDIM's steps are exact for a single point, and then so is every step up and down.
        data = Gaussian(jnp.array([0.7, -1.0]), jnp.zeros(2))
        nodes = stack([nodes_of(f"restart(grid={INSIDE}, {GRID[8:]}", schedule)])
        mean, variance = moments(solvers.make("restart(solver=ddim)"), data, nodes)
        exact_mean, exact = exact_moments(data, nodes)
        np.testing.assert_allclose(mean, exact_mean, atol=1e-12)
        np.testing.assert_allclose(variance, exact, rtol=1e-10, atol=1e-12)

    def test_a_jump_adds_no_error_of_its_own(self) -> None:
        # Whatever the error of the variance at low, that of z = x/alpha is the same after the jump.
        data = Gaussian(jnp.array([0.7]), jnp.array([1.3]))
        nodes = nodes_of(f"restart(grid={INSIDE}, {GRID[8:]}")
        _, variance = moments(solvers.make("restart(solver=euler)"), data, stack([nodes]))
        alpha, s = np.asarray(nodes.level.alpha)[1:, None], ratio(nodes)[1:, None]
        error = np.asarray(variance[0]) / alpha**2 - (1.3**2 + s**2)
        up = np.flatnonzero(nodes.rises)
        assert (np.abs(error[up - 1]) > 1e-3).all()
        np.testing.assert_allclose(error[up], error[up - 1], rtol=1e-9)

    def test_errors_shrink_with_each_restart_as_the_flow_contracts(self) -> None:
        # The paper's argument: noise leaves a difference as it is, and each way down shrinks it.
        data, steps = Gaussian(jnp.zeros(2), jnp.full(2, 0.5)), 20
        nodes = nodes_of(
            f"restart(grid={INSIDE}, low=0.5, high=4.0, times=2, steps={steps})", "edm", 50
        )
        x = start_of(nodes, 1)
        states = [solve("restart", nodes, each, data.denoise)[1] for each in (x, x + 1)]
        apart = np.asarray(states[1] - states[0])[:, 0, 0]
        up, s = np.flatnonzero(nodes.rises), ratio(nodes)
        low, high = s[up[0]], s[up[0] + 1]
        shrinks = np.sqrt((0.5**2 + low**2) / (0.5**2 + high**2))
        at_low = apart[[up[0] - 1, up[1] - 1, up[1] + steps]]
        np.testing.assert_allclose(at_low[1:] / at_low[:-1], shrinks, rtol=0.01)


def plan(solver: str) -> SamplingPlan:
    """The plan of a config that samples so."""
    takers = {"it": solvers.make(solver)}
    return SamplingPlan(
        takers, (STEPS,), grids.make(GRID), guidance.make("none"), NoThreshold(), 1, 1, 1, 0
    )


@pytest.mark.parametrize("inner", ["edm", "heun", "dpmpp_2m", "ddim"])
def test_it_costs_what_its_steps_down_cost(inner: str) -> None:
    calls, data = [], mixture()

    def denoise(x: Array, level: Level, condition: None) -> Array:
        jax.debug.callback(lambda sigma: calls.append(float(sigma)), jnp.min(level.sigma))
        return data.denoise(x, level)

    solver, nodes = solvers.make(f"restart(solver={inner})"), nodes_of().pad(STEPS + 2)
    solve(f"restart(solver={inner})", nodes, start_of(nodes), denoise)
    jax.effects_barrier()
    assert len(calls) == solver.evaluations(STEPS - rises(grids.make(GRID)))
    assert len(calls) == plan(f"restart(solver={inner})").evaluations(Sampling("it", STEPS))
    assert solver.evaluations(DOWN) == solvers.make(inner).evaluations(DOWN)
    assert min(calls) > 0


def test_all_that_cannot_be_restarted_is_refused() -> None:
    for inner, message in (("ode", "adaptive"), ("pndm", "every restart would repeat")):
        with pytest.raises(UserError, match=message):
            solvers.make(f"restart(solver={inner})")
    with pytest.raises(UserError, match="back to more noise"):
        check_start(nodes_of(), solvers.make("heun"))
    check_start(nodes_of(), solvers.make("restart"))


def test_the_next_level_is_that_after_the_last_visit() -> None:
    nodes, up = nodes_of(), np.flatnonzero(nodes_of().rises)
    for index in [*range(up[0]), *range(up[1] + 1, STEPS)]:
        found = next_level(nodes[index].level, nodes)
        assert float(found.sigma) == float(nodes.level.sigma[index + 1]), index
