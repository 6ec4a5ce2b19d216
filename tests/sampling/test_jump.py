"""Networks that know where a step ends: exact steps of any length, guided or not."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from diffusion_jax.fewstep import fewstep
from diffusion_jax.fewstep.denoiser import fewstep_denoiser
from diffusion_jax.process.denoiser import Denoiser, DenoiserLike
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.grids import Nodes, UniformGrid
from diffusion_jax.sampling.guidance import SamplingRun, guidance
from diffusion_jax.sampling.loop import prior, sample_from, sample_keys
from diffusion_jax.sampling.solvers import solvers
from diffusion_jax.verification.oracles import Gaussian

pytestmark = pytest.mark.usefixtures("x64")

COUNT = 2000
SHIFT = 0.4  # by which the condition moves the mean


def clean() -> Level:
    return Level(jnp.ones(()), jnp.zeros(()))


def data(condition: float = 0.0) -> Gaussian:
    return Gaussian(jnp.full(3, 0.7) + SHIFT * condition, jnp.array([0.0, 0.4, 1.3]))


def exact(everywhere: bool = True) -> Denoiser:
    """The exact flow map: to any level, or to the data alone."""

    def estimate(x: Array, here: Level, condition: Any, end: Level | None) -> Array:
        there = here if end is None else end
        shift = 0.0 if condition is None else SHIFT * condition[:, None]
        x = x - here.alpha * shift
        if not everywhere:
            return shift + data().flow(x, here, clean())
        moved = data().flow(x, here, there)
        kept = there.sigma / here.sigma
        lands = (moved - kept * x) / jnp.where(kept < 1, there.alpha - kept * here.alpha, 1)
        return shift + jnp.where(kept < 1, lands, data().denoise(x, here))

    return Denoiser(estimate, knows_end=True, denoises=everywhere)


def nodes(steps: int, schedule: str = "rectified_flow") -> Nodes:
    return UniformGrid()(schedules.make(schedule), steps)


def run(
    solver: str, denoise: DenoiserLike, grid: Nodes, condition: Any = None
) -> tuple[Array, Array]:
    keys = sample_keys(jax.random.key(0), COUNT)
    start = prior(grid, keys, (3,))
    return start, sample_from(denoise, solvers.make(solver), grid, start, keys, condition)[0]


@pytest.mark.parametrize("schedule", ["rectified_flow", "trig_flow", "edm"])
def test_any_number_of_jumps_is_the_exact_flow(schedule: str) -> None:
    for steps in (1, 2, 4):
        grid = nodes(steps, schedule)
        start, found = run("jump", exact(), grid)
        wanted = data().flow(start, grid[0].level, clean())
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("solver", ["jump", "consistency"])
@pytest.mark.parametrize("everywhere", [True, False])
def test_all_of_them_have_the_datas_distribution(solver: str, everywhere: bool) -> None:
    found = run(solver, exact(everywhere), nodes(3))[1]
    error = 5 * data().std / np.sqrt(COUNT)
    assert (jnp.abs(found.mean(axis=0) - data().mean) <= error + 1e-9).all()
    assert (jnp.abs(found.std(axis=0) - data().std) <= error + 1e-9).all()


def test_other_denoisers_take_steps_of_ddim() -> None:
    denoise = lambda x, level, condition: data().denoise(x, level)  # noqa: E731
    for grid in (nodes(1), nodes(4)):
        found, wanted = (run(solver, denoise, grid)[1] for solver in ("jump", "ddim"))
        np.testing.assert_allclose(found, wanted, atol=1e-12)
    # And a solver that knows of no ends takes one that knows of them for a denoiser.
    wanted = run("ddim", denoise, nodes(4))[1]
    np.testing.assert_allclose(run("ddim", exact(), nodes(4))[1], wanted, atol=1e-12)


@pytest.mark.parametrize("spec", ["none", "classifier_free(scale=2.0)", "apg(scale=2.0)"])
def test_guidance_acts_on_whole_jumps(spec: str) -> None:
    """Two kinds of Gaussian data differ by a shift: guidance goes on beyond it, also in one jump.

    Along the flow a shift of the data stays one, so that the guided map is known: the mean moves by
    the scale times the condition's shift. APG's length and part that is parallel are switched off.
    """
    if spec.startswith("apg"):
        spec = "apg(scale=2.0, eta=1.0, momentum=0.0)"
    guide, condition = guidance.make(spec), jnp.ones(COUNT)
    for steps in (1, 3):
        grid = nodes(steps)
        of_run = SamplingRun(jnp.zeros((COUNT, 3)), grid)
        guided = guide(exact(), jnp.zeros(COUNT), of_run)
        start, found = run("jump", guided, grid, condition)
        scale = 1.0 if spec == "none" else 2.0
        wanted = data(scale).flow(start, grid[0].level, clean())
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


def test_what_guidance_remembers_is_of_one_run() -> None:
    """APG's momentum is the same over jumps of no length, and over those of a plain denoiser."""
    guide, condition = guidance.make("apg(scale=3.0)"), jnp.ones(COUNT)
    grid = nodes(4)
    of_run = SamplingRun(jnp.zeros((COUNT, 3)), grid)

    def plain(x: Array, level: Level, condition: Array) -> Array:
        shift = SHIFT * condition[:, None]
        return shift + data().denoise(x - level.alpha * shift, level)

    ends = Denoiser(lambda x, here, condition, end: plain(x, here, condition), knows_end=True)

    def drawn(denoise: DenoiserLike) -> Array:
        return run("jump", guide(denoise, jnp.zeros(COUNT), of_run), grid, condition)[1]

    found = [jax.jit(lambda denoise=denoise: drawn(denoise))() for denoise in (ends, plain)]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-10)


@pytest.mark.parametrize("spec", list(fewstep))
def test_a_trained_network_takes_levels_of_any_process(spec: str) -> None:
    objective = fewstep.make(spec)

    def network(x: Array, label: Array, condition: Any) -> Array:
        assert label.shape == ((5, 2) if objective.tells_end else (5,))
        return jnp.tanh(x + label.reshape(5, -1).sum(axis=1, keepdims=True))

    denoise = fewstep_denoiser(objective, network)
    x = jax.random.normal(jax.random.key(0), (5, 2))
    times = objective.schedule.t_max * jnp.array([0.5, 0.3])
    path = objective.schedule.level(times)
    preserving = Level.from_log_snr(path.log_snr)
    found = [
        denoise(
            levels.alpha[0] * x,
            Level(levels.alpha[0], levels.sigma[0]),
            end=Level(levels.alpha[1], levels.sigma[1]),
        )
        for levels in (path, preserving)
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9)
    # Without an end it stays where it is; on clean data it is finite.
    here = Level(path.alpha[0], path.sigma[0])
    np.testing.assert_array_equal(denoise(x, here), denoise(x, here, end=here))
    assert jnp.isfinite(denoise(x, here, end=clean())).all()


def test_a_guide_that_knows_of_ends_is_asked_for_the_same_step() -> None:
    """Guided by itself at any scale, a network is what it was: also in its longest jump."""
    guide, condition = guidance.make("autoguidance(scale=3.0)"), jnp.ones(COUNT)
    grid = nodes(2)
    guided = guide(exact(), jnp.zeros(COUNT), None, exact())
    start, found = run("jump", guided, grid, condition)
    np.testing.assert_allclose(found, data(1.0).flow(start, grid[0].level, clean()), atol=1e-9)
