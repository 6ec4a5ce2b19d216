"""The DPM-Solver family, by what its members have in common and by its arithmetic."""

import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from diffusion_jax.errors import UserError
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.inversion import invert
from diffusion_jax.sampling.loop import prior, sample_from, sample_keys
from diffusion_jax.sampling.solvers import Solver, solvers
from diffusion_jax.sampling.solvers.exponential import psi
from diffusion_jax.verification.exact_levels import between, thinned, with_clean
from diffusion_jax.verification.oracles import GaussianMixture
from diffusion_jax.verification.orders import cases, errors, orders
from tests.golden.problems import mixture

pytestmark = pytest.mark.usefixtures("x64")


def nodes_of(steps: int, finest: int = 72, low: float = -8.0, high: float = 6.0) -> Nodes:
    """Nodes of the cosine schedule at equal steps of log-SNR, with no clean one."""
    return thinned(between(schedules.make("cosine"), low, high, finest), finest // steps)


def run(spec: str, nodes: Nodes, count: int = 4, keep: bool = False) -> Array:
    """The end of a run on the mixture, or all its states."""
    keys = sample_keys(jax.random.key(3), count)
    end, states = solved(mixture(), solvers.make(spec), nodes, keys)
    return np.asarray(states if keep else end)


@jax.jit
def solved(data: GaussianMixture, solver: Solver, nodes: Nodes, keys: Array) -> tuple[Array, Array]:
    start = prior(nodes, keys, (2,))
    return sample_from(data.denoise, solver, nodes, start, keys, save=lambda state: state.x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_psi_keeps_its_digits_where_its_recursion_would_lose_them(order: int, dtype: type) -> None:
    z = np.array([-30.0, -2.0, -0.999, -1e-2, -1e-6, 1e-8, 1e-3, 0.7, 1.001, 5.0])
    # z phi_k(z) = sum_j z^(j + 1)/(j + k)!, which converges everywhere; on exact fractions.
    exact = [
        float(sum(Fraction(float(v)) ** (j + 1) / math.factorial(j + order) for j in range(150)))
        for v in z.astype(dtype)
    ]
    found = psi(order, jnp.asarray(z.astype(dtype)))
    np.testing.assert_allclose(found, exact, rtol=20 * np.finfo(dtype).eps)


def test_psi_has_its_limits_at_the_ends_of_time() -> None:
    infinity = jnp.array(-jnp.inf)
    assert [float(psi(order, infinity)) for order in (1, 2, 3)] == [-1.0, -1.0, -0.5]


@pytest.mark.parametrize("name", ["dpmpp_3m", "dpm_solver_3m"])
@pytest.mark.parametrize(("settings", "stated"), [("", 3), ("released=True", 2)])
def test_third_order_needs_the_whole_curvature_and_a_start_of_second(
    name: str, settings: str, stated: int
) -> None:
    solver = solvers.make(f"{name}({settings})")
    assert solver.order == stated
    (order,) = orders(errors(solver, cases(["cosine"], ["v"], (160, 320, 640)))).values()
    assert abs(order - stated) < 0.3


@pytest.mark.parametrize("estimate", ["x0", "epsilon"])
@pytest.mark.parametrize("variant", ["midpoint", "taylor"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_group_of_nodes_is_a_single_step(order: int, variant: str, estimate: str) -> None:
    settings = f"estimate={estimate}, variant={variant}"
    fine, coarse = nodes_of(12 * order), nodes_of(12)
    grouped = run(f"dpm_solver_fast(size={order}, {settings})", fine, keep=True)
    single = run(f"dpm_solver(order={order}, {settings})", coarse, keep=True)
    np.testing.assert_allclose(grouped[order - 1 :: order], single, atol=1e-10)


@pytest.mark.parametrize(
    ("settings", "clean", "sizes"),
    [
        ("size=3", False, [3, 3, 2, 2]),
        ("size=3", True, [3, 3, 3, 1]),
        ("size=3, last=greedy", False, [3, 3, 3, 1]),
        ("size=3, last=falling", True, [3, 3, 2, 1, 1]),
        ("size=2, last=falling", False, [2, 2, 2, 2, 1, 1]),
        ("size=2", True, [2, 2, 2, 2, 1, 1]),
    ],
)
def test_the_last_groups_are_as_stated(settings: str, clean: bool, sizes: list[int]) -> None:
    nodes = nodes_of(10, finest=10)
    nodes = with_clean(nodes[:10]) if clean else nodes
    solver = solvers.make(f"dpm_solver_fast({settings})")
    keys = sample_keys(jax.random.key(0), 2)
    _, found = sample_from(
        mixture().denoise,
        solver,
        nodes,
        prior(nodes, keys, (2,)),
        keys,
        save=lambda state: (state.size, state.position),
    )
    size, position = (np.asarray(values) for values in found)
    assert size[position == 1].tolist() == sizes


@pytest.mark.parametrize("estimate", ["x0", "epsilon"])
def test_two_nodes_are_enough_for_adaptive_steps(estimate: str) -> None:
    ends = nodes_of(1)
    exact = run("dpm_solver(order=3)", nodes_of(1600, finest=1600))
    off = []
    for rtol in (1e-2, 1e-4):
        spec = f"dpm_solver_adaptive(estimate={estimate}, rtol={rtol}, atol={rtol / 5})"
        off.append(np.abs(run(spec, ends) - exact).max())
    assert off[0] < 0.05
    assert off[1] < off[0] / 10
    assert off[1] < 5e-4


def test_adaptive_steps_are_few_where_little_happens() -> None:
    keys, ends = sample_keys(jax.random.key(3), 6), nodes_of(1)
    spec = "dpm_solver_adaptive(max_trials={})"

    def asked(most: int) -> np.ndarray:
        solver = solvers.make(spec.format(most))
        _, counts = sample_from(
            mixture().denoise,
            solver,
            ends,
            prior(ends, keys, (2,)),
            keys,
            save=lambda state: state.evaluations,
        )
        return np.asarray(counts)[-1]

    free = asked(200)
    assert len(set(free.tolist())) > 1, "each sample has its own steps"
    assert free.max() < 200
    # The last trial goes all the way.
    assert asked(4).max() <= solvers.make(spec.format(4)).evaluations(2)


def test_the_way_back_by_adaptive_steps() -> None:
    solver = solvers.make("dpm_solver_adaptive(rtol=0.0001, atol=0.0001)")
    nodes, keys = nodes_of(2), sample_keys(jax.random.key(3), 4)
    start = prior(nodes, keys, (2,))
    end, _ = sample_from(mixture().denoise, solver, nodes, start, keys)
    back = invert(mixture().denoise, solver, nodes, end)
    np.testing.assert_allclose(back, start, atol=0.02)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("dpm_solver(order=4)", "1, 2 and 3"),
        ("dpm_solver(order=3, r1=0.7)", "less than r2"),
        ("dpm_solver(variant=heun)", "midpoint"),
        ("dpmpp_2m(last=none)", "falling"),
        ("dpm_solver_fast(size=0)", "1, 2 or 3"),
        ("dpm_solver_2m_sde(degree=3)", "1 or 2"),
        ("dpm_solver_adaptive(norm=all)", "sample"),
        ("dpm_solver_adaptive(order=1)", "2 and 3"),
    ],
)
def test_settings_that_make_no_sense_are_refused(spec: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        solvers.make(spec)
