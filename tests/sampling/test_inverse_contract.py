"""What every posterior and operator keeps to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from diffusion_jax.errors import UserError
from diffusion_jax.process.level import Level
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.guidance import guidance
from diffusion_jax.sampling.inverse import (
    Downsample,
    Mask,
    Matrix,
    Operator,
    Posterior,
    operators,
    posteriors,
)
from diffusion_jax.sampling.inverse.repaint import jumps
from diffusion_jax.sampling.loop import sample_keys
from diffusion_jax.sampling.sampling_run import SamplingRun
from diffusion_jax.sampling.solvers import Solver, solvers
from tests.golden.problems import mixture
from tests.members import POSTERIORS
from tests.sampling.inverse import Correlated, drawn, independent, nodes_of

OPERATORS = {
    "mask": (Mask(jnp.array([[1.0, 0.0], [0.0, 1.0]])[..., None]), (2, 2, 3)),
    "downsample": (Downsample(2), (4, 6, 3)),
    "matrix": (Matrix(jnp.arange(6.0).reshape(2, 3)), (3,)),
}
SHAPE = (4, 6, 3)
OPERATORS |= {
    f"{name} of a config": (operators.make(name, shape=SHAPE), SHAPE) for name in operators
}
each_posterior = pytest.mark.parametrize("spec", POSTERIORS)


@pytest.mark.parametrize("name", OPERATORS)
def test_the_transpose_is_one(name: str) -> None:
    operator, shape = OPERATORS[name]
    assert isinstance(operator, Operator)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(1, *shape)), jnp.float32)
    y = operator(x)
    other = jnp.asarray(rng.normal(size=y.shape), jnp.float32)
    back = operator.transpose(other)
    assert back.shape == x.shape
    np.testing.assert_allclose(jnp.sum(y * other), jnp.sum(x * back), rtol=1e-5)
    np.testing.assert_allclose(operator(2 * x + 1) - operator(x + 1), y, rtol=1e-4, atol=1e-5)


class TestNamedOperators:
    @pytest.mark.parametrize(
        ("spec", "seen"),
        [
            ("half(side=left)", (slice(None), slice(0, 3))),
            ("half(side=right)", (slice(None), slice(3, 6))),
            ("half(side=top)", (slice(0, 2), slice(None))),
            ("half(side=bottom)", (slice(2, 4), slice(None))),
        ],
    )
    def test_halves(self, spec: str, seen: tuple[slice, slice]) -> None:
        x = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32)
        expected = np.zeros_like(x)
        expected[:, *seen] = x[:, *seen]
        np.testing.assert_array_equal(operators.make(spec, shape=SHAPE)(jnp.asarray(x)), expected)

    def test_a_box_is_hidden_in_the_middle(self) -> None:
        mask = operators.make("box(part=0.5)", shape=SHAPE).keep[..., 0]
        hidden = np.zeros((4, 6))
        hidden[1:3, 2:4] = 1  # two of the four rows, and of six columns those with middles inside
        np.testing.assert_array_equal(mask, 1 - hidden)

    def test_as_many_random_pixels_as_said(self) -> None:
        one, other = (
            operators.make(f"random_pixels(share=0.3, seed={seed})", shape=(64, 64, 1)).keep
            for seed in (0, 1)
        )
        assert np.mean(one) == pytest.approx(0.3, abs=0.03)
        assert 0.3 < np.mean(one != other) < 0.55  # 2 · 0.3 · 0.7 by chance

    def test_a_point_is_blurred_to_a_normal_kernel_and_an_even_picture_not_at_all(self) -> None:
        blur = operators.make("blur(std=1.5)", shape=(33, 33, 1))
        point = jnp.zeros((1, 33, 33, 1)).at[0, 16, 16, 0].set(1)
        found = np.asarray(blur(point))[0, ..., 0]
        assert found.sum() == pytest.approx(1, abs=1e-5)
        offset = np.arange(33) - 16
        assert (found.sum(axis=0) * offset**2).sum() == pytest.approx(1.5**2, rel=1e-3)
        np.testing.assert_allclose(found, found.T, atol=1e-7)
        assert blur(jnp.ones((1, 33, 33, 1)))[0, 16, 16, 0] == pytest.approx(1, abs=1e-5)

    @pytest.mark.parametrize(
        ("spec", "shape", "message"),
        [
            ("half(side=up)", SHAPE, "Unknown side"),
            ("box(part=0.0)", SHAPE, "above 0, at most 1"),
            ("random_pixels(share=1.5)", SHAPE, "above 0, at most 1"),
            ("downsample(factor=4)", SHAPE, "factor=4 must divide"),
            ("blur(std=-1.0)", SHAPE, "must be positive"),
            ("half", (6,), "are for pictures"),
        ],
    )
    def test_what_cannot_be(self, spec: str, shape: tuple[int, ...], message: str) -> None:
        with pytest.raises(UserError, match=message):
            operators.make(spec, shape=shape)


def small() -> Correlated:
    return jax.tree.map(lambda values: jnp.asarray(values, jnp.float32), independent(2))


def made(spec: str, y: Array) -> Posterior:
    keep = Mask(jnp.array([1.0, 0.0]))
    return posteriors.make(spec, operator=keep, observation=y, noise_std=0.1)


def keys_of(seed: int = 1) -> Array:
    return sample_keys(jax.random.key(seed), 8)


def run(spec: str, y: Array, nodes: Nodes, keys: Array) -> Array:
    # Padded to one length, so that tests share a compiled program; jumps are of plain grids alone.
    nodes = nodes if "repaint" in spec else nodes.pad(200)
    return drawn(small(), made(spec, y), solvers.make("ancestral"), nodes, keys)


def values(*of_first: float) -> Array:
    """Observations of the first value: those given, then 0.8."""
    first = jnp.array([*of_first, *[0.8] * (8 - len(of_first))])
    return jnp.stack([first, jnp.zeros(8)], axis=1)


@each_posterior
def test_it_runs_in_the_one_loop_at_both_ends_of_any_step_count(spec: str) -> None:
    assert isinstance(made(spec, values()), Posterior)
    for steps in (1, 200):  # the grid starts at alpha = 0
        x = run(spec, values(), nodes_of("cosine", steps, "uniform"), keys_of())
        assert x.shape == (8, 2)
        assert np.isfinite(x).all()


@each_posterior
def test_a_sample_does_not_depend_on_the_others(spec: str) -> None:
    nodes, keys = nodes_of("cosine", 8), keys_of()
    found = run(spec, values(0.5), nodes, keys)
    others = jnp.concatenate([keys[:1], keys_of(2)[1:]])
    again = run(spec, values(0.5, 1.0, 3.0), nodes, others)
    np.testing.assert_array_equal(again[0], found[0])
    assert np.abs(again[1:] - found[1:]).max() > 0.01


@each_posterior
def test_samples_are_near_what_was_seen(spec: str) -> None:
    nodes = nodes_of("cosine", 32)
    x, plain = (run(each, values(), nodes, keys_of()) for each in (spec, "dps(step=0.0)"))
    assert np.abs(x[:, 0] - 0.8).mean() < 0.6 * np.abs(plain[:, 0] - 0.8).mean()


@pytest.mark.parametrize("spec", [spec for spec in POSTERIORS if "repaint" not in spec])
def test_it_goes_with_guidance_and_with_a_condition(spec: str) -> None:
    data = jax.tree.map(lambda values: jnp.asarray(values, jnp.float32), mixture())
    x, y = jnp.ones((3, 2)), jnp.tile(jnp.array([0.5, 0.0]), (3, 1))
    run = SamplingRun(x, nodes_of("cosine", 4))
    level = Level(jnp.asarray(0.6), jnp.asarray(0.8))

    def found(spec_of_guidance: str) -> Array:
        guided = guidance.make(spec_of_guidance)(data.denoise, jnp.full(3, -1), run)
        steered = made(spec, y).denoiser(guided, run)
        return jax.jit(steered)(x, level, jnp.arange(3))

    np.testing.assert_array_equal(found("none"), found("classifier_free(scale=1.0)"))
    assert np.isfinite(found("apg")).all()


class TestRePaint:
    def test_what_is_known_is_kept_to_the_last_bit(self) -> None:
        y = jnp.array([[0.3, 0.0], [0.7, 0.0]])
        nodes = nodes_of("cosine", 8)
        x = drawn(small(), made("repaint", y), solvers.make("heun"), nodes, keys_of()[:2])
        np.testing.assert_array_equal(x[:, 0], y[:, 0])

    @pytest.mark.parametrize(("length", "resample"), [(1, 1), (1, 4), (3, 2), (20, 5)])
    def test_jumps_go_back_by_their_length_and_end_at_the_data(
        self, length: int, resample: int
    ) -> None:
        visited = np.array(jumps(10, length, resample))
        assert visited[0] == 0 and visited[-1] == 10 and (visited == 10).sum() == 1
        assert (np.abs(np.diff(visited)) == 1).all()
        back = np.diff(visited) < 0
        places = len(range(0, 10 - length, length))
        assert back.sum() == places * (resample - 1) * length

    def test_a_solver_with_a_memory_is_refused(self) -> None:
        posterior = made("repaint", jnp.zeros((1, 2)))
        with pytest.raises(UserError, match="remembers earlier steps"):
            posterior.solver(solvers.make("dpmpp_2m"))
        assert isinstance(posterior.solver(solvers.make("ddim")), Solver)

    def test_other_operators_than_masks_are_refused(self) -> None:
        with pytest.raises(UserError, match="masks only, not Matrix"):
            posteriors.make("repaint", operator=Matrix(jnp.eye(2)), observation=jnp.zeros((1, 2)))


def test_what_a_posterior_needs_is_asked_for() -> None:
    with pytest.raises(UserError, match="needs the setting 'operator'"):
        posteriors.make("mmps")
