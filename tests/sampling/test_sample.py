"""The one loop: what may and may not change a sample."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array

from diffusion_jax.errors import UserError
from diffusion_jax.evaluation.exact_levels import stack, through, with_clean
from diffusion_jax.oracles import Gaussian
from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import predictions
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.grids import Nodes, grids, make
from diffusion_jax.sampling.sample import check_start, prior, sample, sample_keys
from diffusion_jax.sampling.solvers import Solver, solvers
from diffusion_jax.sampling.solvers.restart import Restart
from tests.golden.problems import mixture
from tests.members import CLEAN_GRIDS, GRIDS, ONE_SCHEDULE_EACH, SOLVERS, optimized
from tests.sampling.exact import compiled

each_solver = pytest.mark.parametrize("spec", SOLVERS)
ADAPTIVE = [spec for spec in SOLVERS if solvers.make(spec).adaptive]
# Methods that extrapolate multiply float32's rounding, by s/s_next for the midpoint of a long step.
ROUNDING = 1e-5
DATA = {"mean": (0.5, -0.25), "std": (0.5, 0.3)}
# Not down to noise so low that x - alpha x_0 is all rounding: methods that need the score differ.
MODERATE = "karras(sigma_min=0.05)"


def data() -> Gaussian:
    return Gaussian(jnp.array(DATA["mean"]), jnp.array(DATA["std"]))


@jax.jit
def run(solver: Solver, nodes: Nodes, keys: Array) -> Array:
    return sample(data().denoise, solver, nodes, prior(nodes, keys, (2,)), keys)[0]


def nodes_of(schedule: str = "cosine", grid: str = "karras", steps: int = 8) -> Nodes:
    return compiled(grids.make(grid), schedules.make(schedule), steps)


def keys_of(count: int, first: int = 0) -> Array:
    return sample_keys(jax.random.key(7), count, first)


def rounding(solver: Solver) -> float:
    """How far rounding may move a sample; steps that depend on it agree within their tolerance."""
    return float(getattr(solver, "atol")) if solver.adaptive else ROUNDING  # noqa: B009


@each_solver
def test_it_says_all_that_a_solver_has_to(spec: str) -> None:
    assert isinstance(solvers.make(spec), Solver)


@each_solver
class TestSamples:
    def test_padding_changes_nothing_and_one_program_serves_all_step_counts(
        self, spec: str
    ) -> None:
        solver, keys = solvers.make(spec), keys_of(4)
        before = run._cache_size()
        short, _, _ = [run(solver, nodes_of(steps=n).pad(12), keys) for n in (3, 8, 12)]
        assert run._cache_size() <= before + 1
        plain = run(solver, nodes_of(steps=3), keys)
        np.testing.assert_allclose(short, plain, rtol=ROUNDING, atol=rounding(solver))

    def test_a_sample_does_not_depend_on_the_others(self, spec: str) -> None:
        solver, nodes = solvers.make(spec), nodes_of(grid=MODERATE).pad(12)
        whole = run(solver, nodes, keys_of(8))
        part = run(solver, nodes, keys_of(4, first=4))
        np.testing.assert_allclose(whole[4:], part, rtol=ROUNDING, atol=rounding(solver))
        assert len(np.unique(np.asarray(whole), axis=0)) == 8

    def test_nor_on_the_devices(self, spec: str) -> None:
        assert jax.device_count() == 8
        mesh = jax.make_mesh((8,), ("batch",), axis_types=(AxisType.Auto,))
        solver, nodes, keys = solvers.make(spec), nodes_of(grid=MODERATE).pad(12), keys_of(8)
        spread = run(solver, nodes, jax.device_put(keys, NamedSharding(mesh, P("batch"))))
        assert len(spread.sharding.device_set) == 8
        alone = run(solver, nodes, keys)
        np.testing.assert_allclose(spread, alone, rtol=ROUNDING, atol=rounding(solver))

    def test_the_whole_run_is_one_scan(self, spec: str) -> None:
        # With the shapes of the tests before, which are traced already.
        solver, nodes = solvers.make(spec), nodes_of(grid=MODERATE).pad(12)
        names = list(primitives(jax.make_jaxpr(run)(solver, nodes, keys_of(8)).jaxpr))
        assert names.count("scan") == 1 or solver.adaptive
        assert names.count("while") == 0 or solver.adaptive

    def test_it_costs_as_many_evaluations_as_it_says_and_states_can_be_kept(
        self, spec: str
    ) -> None:
        calls = []

        def denoise(x: Array, level: Level, condition: None) -> Array:
            jax.debug.callback(lambda sigma: calls.append(float(sigma)), jnp.min(level.sigma))
            return data().denoise(x, level)

        solver, nodes, keys = solvers.make(spec), nodes_of(steps=5).pad(7), keys_of(3)

        @jax.jit
        def kept() -> tuple[Array, tuple[Array, Array]]:
            x = prior(nodes, keys, (2,))
            return sample(denoise, solver, nodes, x, keys, save=lambda s: (s.x, s.denoised))

        end, (states, denoised) = kept()
        jax.effects_barrier()
        allowed = range(1, solver.evaluations(5) + 1)
        assert len(calls) in (allowed if solver.adaptive else allowed[-1:])
        assert min(calls) > 0, "never on clean data"
        assert states.shape == denoised.shape == (7, 3, 2)
        np.testing.assert_array_equal(states[4:], np.stack([end] * 3))


def primitives(jaxpr):  # type: ignore[no-untyped-def]
    """The names of all primitives in a jaxpr and those within, except in random generators."""
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        if "random" in equation.primitive.name or "threefry" in str(equation.params.get("name")):
            continue
        for value in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")
        ):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from primitives(inner)


@functools.cache
def everywhere(stride: int = 1) -> tuple[list[tuple[str, str, int]], list[Nodes]]:
    """Every schedule, and every grid, at 1 and 1000 steps, padded to one length.

    With a stride, some of them.
    """
    pairs = [(schedule, "karras") for schedule in ONE_SCHEDULE_EACH]
    pairs += [(schedule, grid) for schedule in ("cosine", "rectified_flow") for grid in CLEAN_GRIDS]
    names, found = [], []
    for schedule, grid in list(dict.fromkeys(pairs))[::stride]:
        for steps in (1, 1000):
            try:
                nodes = make(grids.make(grid), schedules.make(schedule), steps)
            except UserError:  # as tests of grids see, where it may be so
                continue
            names.append((schedule, grid, steps))
            found.append(with_clean(nodes, 1000 - steps))
    return names, found


@pytest.mark.parametrize("spec", optimized(SOLVERS, *ADAPTIVE))
def test_one_and_a_thousand_steps_are_finite_or_refused(spec: str) -> None:
    solver = solvers.make(spec)
    # Those that choose steps of their own take seven evaluations and more between two nodes.
    names, found = everywhere(stride=16 if solver.adaptive else 1)
    ways = []
    for name, nodes in zip(names, found, strict=True):
        rises = bool(nodes.rises.any()) and not isinstance(solver, Restart)
        if rises or (solver.needs_signal and float(nodes.level.alpha[0]) == 0):
            with pytest.raises(UserError, match="more noise" if rises else "alpha = 0"):
                check_start(nodes, solver)
        else:
            check_start(nodes, solver)
            ways.append((name, nodes))
    keys = keys_of(4)
    stacked = stack([nodes for _, nodes in ways])
    samples = np.asarray(jax.vmap(lambda nodes: run(solver, nodes, keys))(stacked))
    for (name, nodes), sampled in zip(ways, samples, strict=True):
        assert np.isfinite(sampled).all(), name
        away = np.abs(sampled - np.array(DATA["mean"])) / np.array(DATA["std"])
        assert (away < 6).all(), name
        # Straight from noise to the denoised estimate, which is close to the mean. A single label
        # laid out from below is that of the least noise.
        if name[2] == 1 and float(nodes.level.noise_to_signal[0]) > 2:
            assert (away < 1).all(), name


@pytest.mark.usefixtures("x64")
class TestProcessesAreOneAnother:
    """Solvers that see only alpha and sigma cannot tell a process from its rescalings."""

    SPECS = ("ddim", "ddim(eta=1.0)", "ancestral", "dpmpp_2m", "edm", "edm(churn=10.0)", "lms")
    SPECS += ("edm(clock=cosine)", "dpm_2(churn=10.0)", "dpmpp_sde", "dpmpp_2s_ancestral")
    SPECS += ("dpm_solver", "dpmpp_3m", "dpmpp_2m_sde", "dpm_solver_2m_sde", "dpm_solver_fast")
    SPECS += ("dpm_solver_adaptive",)

    @pytest.mark.parametrize("spec", SPECS)
    def test_the_same_noise_gives_the_same_sample(self, spec: str) -> None:
        solver, denoise, keys = solvers.make(spec), mixture().denoise, keys_of(16)
        grid = grids.make("karras(sigma_min=0.02, sigma_max=20.0)")
        program = jax.jit(
            lambda nodes: sample(denoise, solver, nodes, prior(nodes, keys, (2,)), keys)[0]
        )
        ends = [
            np.asarray(program(compiled(grid, schedules.make(schedule), 12)))
            for schedule in ("cosine", "vp_linear", "edm", "ve(sigma_max=100)", "rectified_flow")
        ]
        for end in ends[1:]:
            np.testing.assert_allclose(end, ends[0], atol=1e-9)

    @pytest.mark.parametrize(
        ("schedule", "one", "other"),
        # On a flow Heun averages velocities of x, and EDM's sampler those of x/alpha.
        [("edm", "euler", "ddim"), ("rectified_flow", "euler", "ddim"), ("edm", "heun", "edm")],
    )
    def test_where_alpha_and_sigma_are_linear_in_time_methods_coincide(
        self, schedule: str, one: str, other: str
    ) -> None:
        nodes, keys, denoise = nodes_of(schedule, steps=12), keys_of(8), mixture().denoise
        x = prior(nodes, keys, (2,))
        ends = [sample(denoise, solvers.make(s), nodes, x, keys)[0] for s in (one, other)]
        np.testing.assert_allclose(ends[0], ends[1], atol=1e-10)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("euler_ancestral(eta=0.7)", "ddim(eta=0.7)"),
            ("edm(order=1)", "ddim"),
            ("lms(points=1)", "ddim"),
            ("edm(clock=vp_linear)", "heun"),
        ],
    )
    def test_methods_under_two_names_coincide(self, one: str, other: str) -> None:
        nodes, keys, denoise = nodes_of("vp_linear", steps=12), keys_of(8), mixture().denoise
        x = prior(nodes, keys, (2,))
        ends = [sample(denoise, solvers.make(s), nodes, x, keys)[0] for s in (one, other)]
        np.testing.assert_allclose(ends[0], ends[1], atol=1e-10)


@pytest.mark.parametrize(
    ("schedule", "grid"),
    [(spec, "karras") for spec in ONE_SCHEDULE_EACH] + [("cosine", spec) for spec in GRIDS],
)
def test_the_prior_has_the_scale_of_the_process(schedule: str, grid: str) -> None:
    nodes = make(grids.make(grid), schedules.make(schedule), 5)
    draws = np.asarray(prior(nodes, keys_of(64), (8, 8, 3)))
    assert draws.shape == (64, 8, 8, 3)
    assert draws.std() / float(nodes.level.sigma[0]) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("spec", ["epsilon", "score"])
def test_predictions_that_need_signal_are_refused_where_there_is_none(spec: str) -> None:
    kind = predictions.make(spec)
    with pytest.raises(UserError, match="no signal is left"):
        check_start(nodes_of("rectified_flow", "uniform"), solvers.make("euler"), kind)
    check_start(nodes_of("rectified_flow", "karras"), solvers.make("euler"), kind)


@pytest.mark.parametrize("spec", ["x0", "v", "velocity", "edm"])
def test_others_start_from_pure_noise(spec: str) -> None:
    schedule, nodes = schedules.make("rectified_flow"), nodes_of("rectified_flow", "uniform")
    assert float(nodes.level.alpha[0]) == 0
    kind = predictions.make(spec, schedule=schedule, sigma_data=0.5)
    solver, keys = solvers.make("dpmpp_2m"), keys_of(64)
    check_start(nodes, solver, kind)
    denoise = through(kind, data().denoise)
    samples, _ = sample(denoise, solver, nodes, prior(nodes, keys, (2,)), keys)
    assert np.isfinite(samples).all()
    np.testing.assert_allclose(samples.mean(axis=0), DATA["mean"], atol=0.3)
