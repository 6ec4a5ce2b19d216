"""What every guidance keeps to, whatever it does."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from diffusion_jax.errors import UserError
from diffusion_jax.process.denoiser import DenoiserLike
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.grids import Nodes, grids
from diffusion_jax.sampling.guidance import Guidance, SamplingRun, guidance
from diffusion_jax.sampling.loop import prior, sample_from, sample_keys
from diffusion_jax.sampling.solvers import Solver, solvers
from diffusion_jax.verification.oracles import GaussianMixture
from tests.golden.problems import mixture
from tests.members import GUIDANCE
from tests.sampling.exact import compiled

WHOLE = -1  # the mixture's condition that says nothing
COMPONENT = jnp.arange(6) % 3
each_guidance = pytest.mark.parametrize("spec", GUIDANCE)


@jax.jit
def program(
    data: GaussianMixture,
    guide: Guidance,
    solver: Solver,
    nodes: Nodes,
    condition: Array,
    keys: Array,
) -> Array:
    start = prior(nodes, keys, (2,))
    null = jnp.full_like(condition, WHOLE)
    denoise = guide(data.denoise, null, SamplingRun(start, nodes), blurred(data))
    return sample_from(denoise, solver, nodes, start, keys, condition)[0]


def blurred(data: GaussianMixture) -> DenoiserLike:
    """A weaker denoiser than the exact one."""
    return lambda x, level, condition: 0.7 * data.denoise(x, level, condition)


def data() -> GaussianMixture:
    return jax.tree.map(lambda values: jnp.asarray(values, jnp.float32), mixture())


def run(
    guide: Guidance, nodes: Nodes, condition: Array = COMPONENT, keys: Array | None = None
) -> Array:
    keys = sample_keys(jax.random.key(3), 6) if keys is None else keys
    # Padded to one length, so that all tests of a guidance share a compiled program.
    return program(data(), guide, solvers.make("ddim"), nodes.pad(1000), condition, keys)


def nodes_of(grid: str, steps: int) -> Nodes:
    return compiled(grids.make(grid), schedules.make("cosine"), steps)


@each_guidance
def test_it_runs_in_the_one_loop_at_both_ends_of_any_step_count(spec: str) -> None:
    guide = guidance.make(spec)
    assert isinstance(guide, Guidance)
    for steps in (1, 1000):  # the grid starts at alpha = 0
        x = run(guide, nodes_of("uniform", steps))
        assert x.shape == (6, 2)
        assert np.isfinite(x).all()


@each_guidance
def test_a_sample_does_not_depend_on_the_others(spec: str) -> None:
    guide, nodes = guidance.make(spec), nodes_of("karras", 6)
    keys = sample_keys(jax.random.key(3), 6)
    others = jnp.concatenate([sample_keys(jax.random.key(4), 2), keys[2:]])
    condition = COMPONENT.at[:2].set(2)
    found, again = run(guide, nodes), run(guide, nodes, condition, others)
    np.testing.assert_array_equal(again[2:], found[2:])
    assert (again[:2] != found[:2]).all()


@each_guidance
def test_it_makes_as_many_passes_as_it_says(spec: str) -> None:
    rows = []

    def counted(denoise):  # type: ignore[no-untyped-def]
        def count(x: Array, level: Level, condition: Array) -> Array:
            jax.debug.callback(lambda: rows.append(x.shape[0]))
            return denoise(x, level, condition)

        return count

    guide, nodes = guidance.make(spec), nodes_of("karras", 4)
    x = jnp.ones((6, 2))
    null = jnp.full(6, WHOLE)
    guided = guide(counted(data().denoise), null, SamplingRun(x, nodes), counted(blurred(data())))
    level = Level(jnp.asarray(0.6), jnp.asarray(0.8))  # within every interval
    jax.jit(guided)(x, level, COMPONENT).block_until_ready()
    jax.effects_barrier()
    assert sum(rows) == guide.passes * 6


LINEAR = [spec for spec in GUIDANCE if spec not in ("none", "cfg_plus_plus", "cfg_zero")]


@pytest.mark.parametrize("spec", LINEAR)
def test_scale_one_is_no_guidance(spec: str) -> None:
    # CFG++'s scale is another, and CFG-Zero*'s first steps are not guidance.
    guide, nodes = dataclasses.replace(guidance.make(spec), scale=1.0), nodes_of("karras", 4)  # type: ignore[type-var]
    guided, plain = run(guide, nodes), run(guidance.make("none"), nodes)
    np.testing.assert_allclose(guided, plain, atol=1e-5)


@pytest.mark.parametrize(
    "spec", ["apg", "cfg_plus_plus", "cfg_zero", "autoguidance", "perturbed_attention"]
)
def test_what_a_guidance_needs_it_asks_for(spec: str) -> None:
    with pytest.raises(UserError, match=f"{type(guidance.make(spec)).__name__} needs"):
        guidance.make(spec)(data().denoise, jnp.full(6, WHOLE))
