"""The one loop: what may and may not change a sample."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array

from diffusion_jax.errors import UserError
from diffusion_jax.process.denoiser import Denoiser
from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import predictions
from diffusion_jax.process.schedules import Schedule, schedules
from diffusion_jax.sampling.checks import check_start
from diffusion_jax.sampling.grids import Nodes, grids, make
from diffusion_jax.sampling.loop import prior, sample_from, sample_keys
from diffusion_jax.sampling.solvers import Solver, solvers
from diffusion_jax.sampling.solvers.restart import Restart
from diffusion_jax.verification.exact_levels import stack, through, with_clean
from diffusion_jax.verification.oracles import Gaussian
from tests.golden.problems import mixture
from tests.members import CLEAN_GRIDS, GRIDS, ONE_SCHEDULE_EACH, SOLVERS, optimized
from tests.sampling.exact import compiled

each_solver = pytest.mark.parametrize("spec", SOLVERS)
ADAPTIVE = [spec for spec in SOLVERS if solvers.make(spec).adaptive]
# What runs for longer than it compiles over a thousand steps.
LONG = ("deis", "restart", "sa_solver", "unipc")
# Methods that extrapolate multiply float32's rounding, by s/s_next for the midpoint of a long step.
ROUNDING = 1e-5
DATA = {"mean": (0.5, -0.25), "std": (0.5, 0.3)}
# Not down to noise so low that x - alpha x_0 is all rounding: methods that need the score differ.
MODERATE = "karras(sigma_min=0.05)"


def data() -> Gaussian:
    return Gaussian(jnp.array(DATA["mean"]), jnp.array(DATA["std"]))


@jax.jit
def run(solver: Solver, nodes: Nodes, keys: Array) -> Array:
    return sample_from(data().denoise, solver, nodes, prior(nodes, keys, (2,)), keys)[0]


@jax.jit
def states(solver: Solver, nodes: Nodes, keys: Array, x: Array) -> tuple[Array, Array]:
    """The sample and the estimate of x_0 after each step, (steps, batch, 2) each."""
    return sample_from(data().denoise, solver, nodes, x, keys, save=lambda s: (s.x, s.denoised))[1]


def from_prior(solver: Solver, nodes: Nodes, keys: Array) -> tuple[Array, Array]:
    """`states` from the noise of the same keys."""
    return states(solver, nodes, keys, start(nodes, keys))


@jax.jit
def start(nodes: Nodes, keys: Array) -> Array:
    return prior(nodes, keys, (2,))


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


def counted(solver: Solver, nodes: Nodes, keys: Array) -> tuple[Array, list[float]]:
    """Samples, and the noise level of each evaluation."""
    calls = []

    def denoise(x: Array, level: Level, condition: None) -> Array:
        jax.debug.callback(lambda sigma: calls.append(float(sigma)), jnp.min(level.sigma))
        return data().denoise(x, level)

    x = prior(nodes, keys, (2,))
    end = jax.jit(lambda: sample_from(denoise, solver, nodes, x, keys)[0])()
    jax.effects_barrier()
    return end, calls


def spread(keys: Array) -> Array:
    """Keys that lie on eight devices, so that what is made of them does."""
    assert jax.device_count() == 8
    mesh = jax.make_mesh((8,), ("batch",), axis_types=(AxisType.Auto,))
    return jax.device_put(keys, NamedSharding(mesh, P("batch")))


@each_solver
class TestSamples:
    """Two programs of each solver: padded on eight devices, and alone as it may be."""

    def test_neither_padding_nor_others_nor_devices_change_one_and_it_costs_what_it_says(
        self, spec: str
    ) -> None:
        solver, nodes = solvers.make(spec), nodes_of(grid=MODERATE, steps=5)
        found, _ = from_prior(solver, nodes.pad(12), spread(keys_of(8)))
        assert len(found.sharding.device_set) == 8
        whole = np.asarray(found[-1])
        assert len(np.unique(whole, axis=0)) == 8
        alone, calls = counted(solver, nodes, keys_of(3, first=2))
        np.testing.assert_allclose(whole[2:5], alone, rtol=ROUNDING, atol=rounding(solver))
        allowed = range(1, solver.evaluations(5) + 1)
        assert len(calls) in (allowed if solver.adaptive else allowed[-1:])
        assert min(calls) > 0, "never on clean data"

    def test_other_noise_changes_it_exactly_if_it_says_so(self, spec: str) -> None:
        solver, steps = solvers.make(spec), 5
        if solver.goes_back:  # it draws where it goes up
            grid = grids.make("restart(low=0.2, high=1.0, times=1)")
            nodes = make(grid, schedules.make("cosine"), 2 * steps)
        else:
            nodes = nodes_of(grid=MODERATE, steps=steps)
        assert draws(solver, nodes.pad(12)) == solver.stochastic

    def test_one_program_serves_all_step_counts(self, spec: str) -> None:
        solver, keys = solvers.make(spec), spread(keys_of(8))
        before = states._cache_size()
        for steps in (3, 5, 12):
            x, denoised = from_prior(solver, nodes_of(grid=MODERATE, steps=steps).pad(12), keys)
            # Padding keeps the state.
            for values in (x, denoised):
                assert (values[steps:] == values[steps - 1]).all()
        assert states._cache_size() <= before + 1

    def test_the_whole_run_is_one_scan(self, spec: str) -> None:
        # With the shapes of the tests before, which are traced already.
        solver, nodes = solvers.make(spec), nodes_of(grid=MODERATE).pad(12)
        names = list(primitives(jax.make_jaxpr(from_prior)(solver, nodes, keys_of(8)).jaxpr))
        assert names.count("scan") == 1 or solver.adaptive
        assert names.count("while") == 0 or solver.adaptive


def draws(solver: Solver, nodes: Nodes) -> bool:
    """Whether samples from the same start depend on the keys of their noise."""
    x = start(nodes, spread(keys_of(8)))
    one, other = (states(solver, nodes, spread(keys_of(8, first)), x)[0][-1] for first in (0, 8))
    return not np.allclose(one, other, atol=10 * ROUNDING + rounding(solver))


@pytest.mark.parametrize(
    ("spec", "stochastic"),
    [
        ("ddim(eta=0.5)", True),
        ("edm(churn=10.0)", True),
        ("edm(churn=10.0, s_noise=0.0)", False),
        ("euler_ancestral(eta=0.0)", False),
        ("dpmpp_2m_sde(eta=0.0)", False),
        ("dpmpp_sde(s_noise=0.0)", False),
        ("dpm_solver_fast(eta=0.5)", True),
        ("gamma_sampling(gamma=0.0)", False),
    ],
)
def test_whether_noise_is_drawn_is_up_to_the_settings(spec: str, stochastic: bool) -> None:
    solver = solvers.make(spec)
    assert solver.stochastic == stochastic
    assert draws(solver, nodes_of(grid=MODERATE, steps=5).pad(12)) == stochastic


def test_jump_draws_noise_for_a_consistency_function_alone() -> None:
    jump, nodes, keys = solvers.make("jump"), nodes_of(grid=MODERATE, steps=3), keys_of(16)
    x = start(nodes, keys[:8])
    for denoises in (True, False):
        denoiser = Denoiser(lambda x, level, c, end: data().denoise(x, level), denoises=denoises)
        assert jump.for_denoiser(denoiser).stochastic != denoises
        ends = [sample_from(denoiser, jump, nodes, x, k)[0] for k in (keys[:8], keys[8:])]
        assert bool((ends[0] == ends[1]).all()) == denoises


def test_padding_costs_no_evaluations() -> None:
    solver, nodes = solvers.make("heun"), nodes_of(steps=5)
    assert len(counted(solver, nodes.pad(9), keys_of(3))[1]) == solver.evaluations(5)


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


Way = tuple[str, str, int]  # schedule, grid, steps


@jax.jit
def on_karras(processes: list[Schedule]) -> list[tuple[Nodes, Nodes]]:
    """The nodes of 1 and of 1000 steps over each schedule, in one program."""
    grid = grids.make("karras")
    return [(make(grid, process, 1), make(grid, process, 1000)) for process in processes]


@functools.cache
def everywhere() -> dict[Way, Nodes]:
    """Every schedule, and every grid, at 1 and 1000 steps, padded to one length."""
    of_schedules = on_karras([schedules.make(spec) for spec in ONE_SCHEDULE_EACH])
    found = {
        (schedule, "karras", steps): nodes
        for schedule, pair in zip(ONE_SCHEDULE_EACH, of_schedules, strict=True)
        for steps, nodes in zip((1, 1000), pair, strict=True)
    }
    for way in itertools.product(("cosine", "rectified_flow"), CLEAN_GRIDS, (1, 1000)):
        try:
            found[way] = make(grids.make(way[1]), schedules.make(way[0]), way[2])
        except UserError:  # as tests of grids see, where it may be so
            continue
    return {way: with_clean(nodes, 1000 - way[2]) for way, nodes in found.items()}


@functools.cache
def refused(needs_signal: bool, follows_rises: bool) -> dict[Way, str]:
    """Which of these grids a solver of such a kind cannot follow, and a word of why."""
    found = {}
    for way, nodes in everywhere().items():
        if bool(nodes.rises.any()) and not follows_rises:
            found[way] = "more noise"
        elif needs_signal and float(nodes.level.alpha[0]) == 0:
            found[way] = "alpha = 0"
    return found


@functools.cache
def from_noise() -> set[Way]:
    """Which of these grids start where the noise is more than twice the data."""
    return {w for w, nodes in everywhere().items() if float(nodes.level.noise_to_signal[0]) > 2}


def sampled(solver: Solver, ways: list[Way]) -> np.ndarray:
    """Four samples over each of these grids, of the length of the longest."""
    longest, keys = max(steps for _, _, steps in ways), keys_of(4)
    nodes = stack([everywhere()[way] for way in ways])
    nodes = jax.tree.map(lambda values: values[:, : longest + 1], nodes)
    return np.asarray(jax.vmap(lambda nodes: run(solver, nodes, keys))(nodes))


@pytest.mark.parametrize("spec", optimized(SOLVERS, *ADAPTIVE, *LONG))
def test_one_and_a_thousand_steps_are_finite_or_refused(spec: str) -> None:
    solver = solvers.make(spec)
    not_for_it = refused(solver.needs_signal, isinstance(solver, Restart))
    for way, why in not_for_it.items():
        with pytest.raises(UserError, match=why):
            check_start(everywhere()[way], solver)
    ways = [way for way in everywhere() if way not in not_for_it]
    for way in ways:
        check_start(everywhere()[way], solver)
    # Those that choose steps of their own may take many in a padded one.
    of = [[way for way in ways if way[2] == steps] for steps in (1, 1000)]
    parts = of if solver.adaptive else [ways]
    ways = list(itertools.chain(*parts))
    samples = np.concatenate([sampled(solver, part) for part in parts])

    def those(bad: np.ndarray) -> list[Way]:
        return [way for way, is_bad in zip(ways, bad, strict=True) if is_bad]

    assert not those(~np.isfinite(samples).all(axis=(1, 2)))
    away = np.abs(samples - np.array(DATA["mean"])) / np.array(DATA["std"])
    away = away.max(axis=(1, 2))
    assert not those(away >= 6)
    # Straight from noise to the denoised estimate, which is close to the mean. A single label
    # laid out from below is that of the least noise.
    assert not [way for way in those(away >= 1) if way[2] == 1 and way in from_noise()]


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
            lambda nodes: sample_from(denoise, solver, nodes, prior(nodes, keys, (2,)), keys)[0]
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
        ends = [sample_from(denoise, solvers.make(s), nodes, x, keys)[0] for s in (one, other)]
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
        ends = [sample_from(denoise, solvers.make(s), nodes, x, keys)[0] for s in (one, other)]
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
    samples, _ = sample_from(denoise, solver, nodes, prior(nodes, keys, (2,)), keys)
    assert np.isfinite(samples).all()
    np.testing.assert_allclose(samples.mean(axis=0), DATA["mean"], atol=0.3)
