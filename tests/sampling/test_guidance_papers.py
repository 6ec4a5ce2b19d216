"""Each guidance against its paper's algorithm, written down in numpy."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.grids import Nodes, grids
from diffusion_jax.sampling.guidance import SamplingRun, guidance
from diffusion_jax.sampling.loop import sample_from, sample_keys
from diffusion_jax.sampling.solvers import solvers
from diffusion_jax.verification.oracles import Gaussian
from tests.golden.problems import mixture
from tests.sampling.exact import compiled

pytestmark = pytest.mark.usefixtures("x64")

CONDITION, NULL = jnp.arange(6) % 3, jnp.full(6, -1)


def middle() -> Level:
    return Level(jnp.asarray(0.6), jnp.asarray(0.8))


def start() -> Array:
    return jnp.asarray(np.random.default_rng(0).normal(size=(6, 2)))


def estimates(x: np.ndarray, alpha: float, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """D(x, c) and D(x, null) of the mixture."""
    level = Level(jnp.asarray(alpha), jnp.asarray(sigma))
    found = (mixture().denoise(jnp.asarray(x), level, c) for c in (CONDITION, NULL))
    one, other = (np.asarray(each) for each in found)
    return one, other


def run(spec: str, solver: str, nodes: Nodes) -> Array:
    x = nodes.level.sigma[0] * start()
    denoise = guidance.make(spec)(mixture().denoise, NULL, SamplingRun(x, nodes))
    keys = sample_keys(jax.random.key(0), 6)
    return sample_from(denoise, solvers.make(solver), nodes, x, keys, CONDITION)[0]


def nodes_of(schedule: str, grid: str, steps: int) -> Nodes:
    return compiled(grids.make(grid), schedules.make(schedule), steps)


def steps_of(nodes: Nodes) -> list[tuple[float, float, float, float]]:
    """(alpha, sigma) here and there of each step."""
    alpha, sigma = (
        np.asarray(values).tolist() for values in (nodes.level.alpha, nodes.level.sigma)
    )
    return list(zip(alpha[:-1], sigma[:-1], alpha[1:], sigma[1:], strict=True))


def ddim(nodes: Nodes, estimate: Callable[..., tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """x_s = alpha_s x_0 + sigma_s eps, with the (x_0, eps) that `estimate` gives."""
    x = float(nodes.level.sigma[0]) * np.asarray(start())
    for alpha, sigma, next_alpha, next_sigma in steps_of(nodes):
        x0, eps = estimate(x, alpha, sigma)
        x = next_alpha * x0 + next_sigma * eps
    return x


def test_classifier_free_guidance_of_gaussians_has_the_exact_score() -> None:
    # p(x)^(1 - s) p(x | c)^s is Gaussian again where its precision is positive.
    whole = Gaussian(jnp.array([0.2, -0.4]), jnp.array([1.0, 0.8]))
    part = Gaussian(jnp.array([1.0, 0.5]), jnp.array([0.3, 0.4]))

    def denoise(x: Array, level: Level, condition: Array) -> Array:
        return jnp.where(condition[:, None] < 0, whole.denoise(x, level), part.denoise(x, level))

    scale, alpha, sigma = 2.5, 0.6, 0.8
    guided = guidance.make(f"classifier_free(scale={scale})")(denoise, NULL)
    x = np.asarray(start())
    variances = [(alpha * np.asarray(each.std)) ** 2 + sigma**2 for each in (whole, part)]
    means = [alpha * np.asarray(each.mean) for each in (whole, part)]
    precision = (1 - scale) / variances[0] + scale / variances[1]
    mean = ((1 - scale) / variances[0] * means[0] + scale / variances[1] * means[1]) / precision
    score = -precision * (x - mean)
    found = np.asarray(guided(jnp.asarray(x), middle(), CONDITION))
    # Tweedie: the score is (alpha D - x)/sigma².
    np.testing.assert_allclose((alpha * found - x) / sigma**2, score, rtol=1e-10)


def test_autoguidance() -> None:
    weaker = Gaussian(jnp.array([0.2, -0.4]), jnp.array([1.0, 0.8]))
    guided = guidance.make("autoguidance(scale=2.5)")(mixture().denoise, NULL, guide=weaker.denoise)
    x = start()
    main, guide = mixture().denoise(x, middle(), CONDITION), weaker.denoise(x, middle())
    # Eq. 5: D_w = w D_1 + (1 - w) D_0.
    paper = 2.5 * np.asarray(main) + (1 - 2.5) * np.asarray(guide)
    np.testing.assert_allclose(guided(x, middle(), CONDITION), paper, rtol=1e-12)


@pytest.mark.parametrize("of", ["x0", "epsilon", "v"])
def test_rescaled(of: str) -> None:
    alpha, sigma, scale, phi = 0.6, 0.8, 3.0, 0.7
    x = np.asarray(start())
    target = {
        "x0": lambda x0: x0,
        "epsilon": lambda x0: (x - alpha * x0) / sigma,
        "v": lambda x0: alpha * (x - alpha * x0) / sigma - sigma * x0,
    }[of]
    positive, negative = (target(x0) for x0 in estimates(x, alpha, sigma))
    cfg = negative + scale * (positive - negative)
    rescaled = cfg * positive.std(axis=1, keepdims=True) / cfg.std(axis=1, keepdims=True)
    paper = phi * rescaled + (1 - phi) * cfg
    guided = guidance.make(f"rescaled(scale={scale}, phi={phi}, of={of})")(mixture().denoise, NULL)
    found = target(np.asarray(guided(jnp.asarray(x), middle(), CONDITION)))
    np.testing.assert_allclose(found, paper, rtol=1e-10)


@pytest.mark.parametrize("momentum", [0.0, -0.5])
def test_apg_on_a_whole_run(momentum: float) -> None:
    scale, eta, longest = 4.0, 0.3, 0.6
    average = np.zeros((6, 2))
    norms = []

    def project(v: np.ndarray, onto: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        unit = onto / np.linalg.norm(onto, axis=1, keepdims=True)
        parallel = (v * unit).sum(1, keepdims=True) * unit
        return parallel, v - parallel

    def estimate(x: np.ndarray, alpha: float, sigma: float) -> tuple[np.ndarray, np.ndarray]:
        nonlocal average
        one, other = estimates(x, alpha, sigma)
        difference = average = one - other + momentum * average
        norm = np.linalg.norm(difference, axis=1, keepdims=True)
        norms.extend(norm[:, 0])
        parallel, orthogonal = project(
            difference * np.minimum(1, longest / np.maximum(norm, 1e-300)), one
        )
        x0 = one + (scale - 1) * (orthogonal + eta * parallel)
        return x0, (x - alpha * x0) / sigma

    nodes = nodes_of("cosine", "karras", 6)
    paper = ddim(nodes, estimate)
    assert min(norms) < longest < max(norms)
    spec = f"apg(scale={scale}, eta={eta}, longest={longest}, momentum={momentum})"
    np.testing.assert_allclose(run(spec, "ddim", nodes), paper, atol=1e-10)


def test_apg_with_the_parallel_part_and_nothing_else_is_classifier_free() -> None:
    nodes = nodes_of("cosine", "karras", 6)
    plain = run("apg(scale=3.0, eta=1.0, momentum=0.0)", "dpmpp_2m", nodes)
    np.testing.assert_allclose(
        plain, run("classifier_free(scale=3.0)", "dpmpp_2m", nodes), atol=1e-10
    )


@pytest.mark.parametrize("scale", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("grid", ["uniform", "karras"])
def test_cfg_plus_plus_on_a_whole_run(grid: str, scale: float) -> None:
    def estimate(x: np.ndarray, alpha: float, sigma: float) -> tuple[np.ndarray, np.ndarray]:
        one, other = estimates(x, alpha, sigma)
        # Algorithm 2: denoised with guidance, noised again without.
        return other + scale * (one - other), (x - alpha * other) / sigma

    nodes = nodes_of("cosine", grid, 6)
    found = run(f"cfg_plus_plus(scale={scale})", "ddim", nodes)
    np.testing.assert_allclose(found, ddim(nodes, estimate), atol=1e-10)


@pytest.mark.parametrize("zero_steps", [0, 1, 3])
def test_cfg_zero_on_a_whole_run(zero_steps: int) -> None:
    scale, done = 3.0, 0

    def estimate(x: np.ndarray, alpha: float, sigma: float) -> tuple[np.ndarray, np.ndarray]:
        nonlocal done
        # x = (1 - t) x_0 + t eps: at velocity v = eps - x_0 these are x - t v and x + (1 - t) v.
        one, other = ((x - alpha * x0) / sigma - x0 for x0 in estimates(x, alpha, sigma))
        best = (one * other).sum(1, keepdims=True) / (other**2).sum(1, keepdims=True)
        v = (1 - scale) * best * other + scale * one
        v = np.zeros_like(x) if done < zero_steps else v
        done += 1
        return x - sigma * v, x + alpha * v

    nodes = nodes_of("rectified_flow", "uniform", 6)
    found = run(f"cfg_zero(scale={scale}, zero_steps={zero_steps})", "euler", nodes)
    np.testing.assert_allclose(found, ddim(nodes, estimate), atol=1e-10)
