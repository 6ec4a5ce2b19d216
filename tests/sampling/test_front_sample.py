"""`sample` as users call it: what it draws, and what it refuses in one line."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from diffusion_jax.errors import UserError
from diffusion_jax.process.denoiser import Denoiser
from diffusion_jax.process.objective import Objective
from diffusion_jax.process.predictions import Epsilon, V
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.checks import check_parts
from diffusion_jax.sampling.grids import Karras, UniformGrid
from diffusion_jax.sampling.guidance import ClassifierFree, guidance
from diffusion_jax.sampling.inverse import Mask, posteriors
from diffusion_jax.sampling.loop import prior, sample_from, sample_keys
from diffusion_jax.sampling.sample import sample
from diffusion_jax.sampling.solvers import solvers
from diffusion_jax.sampling.thresholds import Clip
from diffusion_jax.verification.oracles import Gaussian, GaussianMixture
from tests.annotations import unchecked

KEY = jax.random.key(3)
COSINE, FLOW = schedules.make("cosine"), schedules.make("rectified_flow")
NODES = Karras()(COSINE, 4)
DDIM = solvers.make("ddim")
DATA = Gaussian(jnp.array([0.5, -0.25]), jnp.array([0.5, 0.3]))


def nothing(x: Array, c_noise: Array, condition: Any) -> Array:
    return 0 * x


def test_it_is_the_loop_with_the_prior_and_the_keys_of_each_sample() -> None:
    solver = solvers.make("ancestral")
    found, saved = sample(DATA.denoise, solver, NODES, KEY, (6, 2), save=lambda state: state.x)
    keys = sample_keys(KEY, 6)
    start = prior(NODES, keys, (2,))
    np.testing.assert_array_equal(found, sample_from(DATA.denoise, solver, NODES, start, keys)[0])
    np.testing.assert_array_equal(saved[-1], found)
    # Sample i does not depend on how many there are.
    np.testing.assert_allclose(sample(DATA.denoise, solver, NODES, KEY, (3, 2)), found[:3], 1e-6)
    again = jax.jit(lambda key: sample(DATA.denoise, solver, NODES, key, (6, 2)))(KEY)
    np.testing.assert_allclose(again, found, rtol=1e-5, atol=1e-6)


def test_guidance_knows_the_run_and_the_null_condition() -> None:
    """Of two points a scale of 2 goes on beyond the one that is named: D = D_0 + 2 (D_c - D_0)."""
    data = GaussianMixture(jnp.full(2, 0.5), jnp.array([[-1.0], [1.0]]), jnp.full(2, 1e-3))

    def denoise(x: Array, level: Any, condition: Any) -> Array:
        return data.denoise(x, level, condition["class"])

    nodes = Karras()(FLOW, 40)
    named, null = {"class": jnp.ones(4, int)}, {"class": jnp.full(4, -1)}
    plain = sample(denoise, DDIM, nodes, KEY, (4, 1), named)
    np.testing.assert_allclose(plain, 1, atol=0.01)
    scale = ClassifierFree(scale=2.0)
    kept = sample(denoise, DDIM, nodes, KEY, (4, 1), named, guidance=scale, null=null)
    np.testing.assert_allclose(kept, 1, atol=0.01)  # as there is no doubt of it near the end
    # Members that act by step, or remember, are told the run.
    for spec in ("cfg_plus_plus", "apg", "cfg_zero"):
        part = guidance.make(spec)
        found = sample(denoise, DDIM, nodes, KEY, (4, 1), named, guidance=part, null=null)
        assert np.isfinite(found).all()
    with pytest.raises(UserError, match="null, the condition that says nothing"):
        sample(denoise, DDIM, nodes, KEY, (4, 1), named, guidance=scale)
    with pytest.raises(UserError, match="weaker denoiser"):
        sample(DATA.denoise, DDIM, NODES, KEY, (4, 2), guidance=guidance.make("autoguidance"))
    part = guidance.make("perturbed_attention")
    with pytest.raises(UserError, match="without its self-attention"):
        sample(DATA.denoise, DDIM, NODES, KEY, (4, 2), guidance=part)
    with pytest.raises(UserError, match="for guidance"):
        sample(denoise, DDIM, nodes, KEY, (4, 1), named, null=null)


def test_an_observation_is_agreed_with() -> None:
    """One of two values is seen: it is kept, and the other is drawn as if nothing were."""
    seen = jnp.array([1.0, 0.0])
    parts = {"operator": Mask(seen), "observation": jnp.tile(jnp.array([1.3, 0.0]), (64, 1))}
    posterior = posteriors.make("mmps", noise_std=0.01, **parts)
    nodes, heun = Karras()(schedules.make("edm"), 20), solvers.make("heun")
    found = sample(DATA.denoise, heun, nodes, KEY, (64, 2), posterior=posterior)
    np.testing.assert_allclose(found[:, 0], 1.3, atol=0.1)
    assert abs(float(found[:, 1].mean()) + 0.25) < 4 * 0.3 / 8
    with pytest.raises(UserError, match="observation must have a row for each of the 8"):
        sample(DATA.denoise, heun, nodes, KEY, (8, 2), posterior=posterior)
    painted = posteriors.make("repaint", resample=2, **parts)
    kept = sample(DATA.denoise, solvers.make("ancestral"), NODES, KEY, (64, 2), posterior=painted)
    np.testing.assert_allclose(kept[:, 0], 1.3, atol=1e-5)


def test_a_threshold_keeps_estimates_within_range() -> None:
    found = sample(DATA.denoise, DDIM, NODES, KEY, (8, 2), threshold=Clip(0.1))
    assert float(jnp.abs(found).max()) == pytest.approx(0.1)


def test_parts_that_do_not_go_together_are_refused() -> None:
    told = Denoiser.with_variance("learned_range", lambda x, level, condition: (x, 0 * x))
    sample(told, solvers.make("ancestral(variance=learned)"), NODES, KEY, (2, 2))
    flow = Objective(FLOW, Epsilon()).denoiser(nothing)
    from_noise = UniformGrid()(FLOW, 4)
    sample(Objective(FLOW, V()).denoiser(nothing), DDIM, from_noise, KEY, (2, 2))
    consistent = Denoiser(lambda x, level, condition, end: 0 * x, denoises=False)
    for parts, why in (
        ((flow, DDIM, from_noise), "says nothing of the data where no signal is left"),
        ((DATA.denoise, solvers.make("edm"), from_noise), "needs some signal"),
        ((DATA.denoise, solvers.make("ancestral(variance=learned)"), NODES), "learned variance"),
        ((consistent, DDIM, NODES), "consistency function"),
    ):
        with pytest.raises(UserError, match=why):
            sample(*parts, KEY, (2, 2))
    for solver, nodes, why in (
        ("ddim", NODES, "one of dj.solvers"),
        (DDIM, Karras(), "those of a grid over a schedule"),
    ):
        with pytest.raises(UserError, match=why):
            check_parts(solver, nodes)


def test_shapes_keys_and_conditions_of_the_wrong_form_are_refused() -> None:
    old, new = (jax.random.PRNGKey(3), KEY)
    np.testing.assert_array_equal(
        *(sample(DATA.denoise, DDIM, NODES, k, (2, 2)) for k in (old, new))
    )
    for key, shape, condition, why in (
        (KEY, (2,), None, "batch axis first"),
        (jax.random.split(KEY, 2), (2, 2), None, "one jax.random.key"),
        (KEY, (2, 2), {"label": jnp.zeros(3)}, "a row for each of the 2 samples"),
    ):
        with pytest.raises(UserError, match=why):
            sample(DATA.denoise, DDIM, NODES, key, shape, condition)


def test_a_network_of_another_shape_is_refused() -> None:
    denoise = Objective(COSINE, V()).denoiser(lambda x, c_noise, condition: x[:, :1])
    with pytest.raises(UserError, match=r"output must be of shape \(2, 2\)"):
        sample(denoise, DDIM, NODES, KEY, (2, 2))


@pytest.mark.parametrize(
    ("part", "value"),
    [("guidance", "apg"), ("guidance", 2.0), ("threshold", Clip), ("posterior", "dps")],
)
def test_what_steers_is_an_object(part: str, value: object) -> None:
    with unchecked(), pytest.raises(UserError, match=f"{part} must be an object"):
        sample(DATA.denoise, DDIM, NODES, KEY, (2, 2), **{part: value})
