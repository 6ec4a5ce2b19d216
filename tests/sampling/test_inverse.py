"""Posteriors against the exact one of Gaussian data, and against their papers' algorithms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from diffusion_jax.process.level import Level
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.inverse import Mask, Matrix, Operator, posteriors
from diffusion_jax.sampling.inverse.solve import conjugate_gradient
from diffusion_jax.sampling.loop import prior, sample_keys
from diffusion_jax.sampling.sampling_run import SamplingRun
from diffusion_jax.sampling.solvers import solvers
from tests.sampling.inverse import (
    Correlated,
    affine,
    drawn,
    independent,
    isotropic,
    matrix_of,
    mixed,
    nodes_of,
)

pytestmark = pytest.mark.usefixtures("x64")

DIM, STD = 4, 0.2


def mask() -> Mask:
    return Mask(jnp.array([1.0, 0.0, 1.0, 0.0]))


def mixing() -> Matrix:
    return Matrix(jnp.asarray(np.random.default_rng(1).normal(size=(3, DIM))))


def seen(operator: Operator, data: Correlated, rows: int) -> dict[str, object]:
    """The same observation for all rows."""
    truth = data.mean + jnp.linspace(-1, 1, DIM)
    y = operator(jnp.broadcast_to(truth, (rows, DIM)))
    return {"operator": operator, "observation": y, "noise_std": STD}


EXACT = [
    ("mmps(iterations=4)", mixing, lambda: mixed(DIM)),
    ("mmps(iterations=4)", mask, lambda: mixed(DIM)),
    ("pigdm(data_std=0.7)", mixing, lambda: isotropic(DIM, 0.7)),
    ("pigdm(data_std=0.7, iterations=1)", mask, lambda: isotropic(DIM, 0.7)),
    ("tmpd", mask, lambda: independent(DIM)),
]
exact_cases = pytest.mark.parametrize(("spec", "operator", "data"), EXACT)


@exact_cases
@pytest.mark.parametrize(
    ("alpha", "sigma"), [(1.0, 0.01), (0.8, 0.6), (0.5, 0.5), (1.0, 30.0), (0.01, 1.0)]
)
def test_the_denoiser_is_exact(spec, operator, data, alpha, sigma) -> None:  # type: ignore[no-untyped-def]
    data, operator = data(), operator()
    x = jnp.asarray(np.random.default_rng(2).normal(size=(5, DIM)) * np.hypot(alpha, sigma))
    given = seen(operator, data, 5)
    posterior = posteriors.make(spec, **given)
    run = SamplingRun(x, nodes_of("edm", 2))
    level = Level(jnp.asarray(alpha), jnp.asarray(sigma))
    found = jax.jit(posterior.denoiser(data.denoise, run))(x, level, None)
    # x = alpha x_0 + sigma eps and y = A x_0 + s eps are one observation of x_0.
    both = np.concatenate([alpha / sigma * np.eye(DIM), matrix_of(operator, DIM) / STD])
    whitened = np.concatenate([x / sigma, given["observation"][:, : both.shape[0] - DIM] / STD], 1)
    expected, _ = data.given(both, whitened, 1.0)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)


@exact_cases
def test_samples_have_the_mean_and_the_covariance_of_the_posterior(spec, operator, data) -> None:  # type: ignore[no-untyped-def]
    data, operator = data(), operator()
    given = seen(operator, data, DIM + 1)
    posterior = posteriors.make(spec, **given)
    y = np.asarray(given["observation"][:1])  # type: ignore[index]
    expected, spread = data.given(matrix_of(operator, DIM), y, STD)
    solver, nodes = solvers.make("heun"), nodes_of("edm", 64)
    mean, covariance = affine(data, posterior, solver, nodes, expected[0])
    np.testing.assert_allclose(mean, expected[0], atol=5e-3)
    np.testing.assert_allclose(covariance, spread, atol=5e-3)


def test_a_sum_of_rows_is_no_covariance() -> None:
    # Where TMPD claims nothing it is not exact, so that the tests above show something.
    data, operator = mixed(DIM), mixing()
    given = seen(operator, data, DIM + 1)
    posterior = posteriors.make("tmpd", **given)
    y = np.asarray(given["observation"][:1])  # type: ignore[index]
    expected, _ = data.given(matrix_of(operator, DIM), y, STD)
    mean, _ = affine(data, posterior, solvers.make("heun"), nodes_of("edm", 64), expected[0])
    assert np.abs(mean - expected[0]).max() > 0.02


def test_conjugate_gradients_solve_each_sample_by_itself() -> None:
    rng = np.random.default_rng(3)
    roots = rng.normal(size=(3, 5, 5))
    matrices = roots @ roots.transpose(0, 2, 1) + 0.5 * np.eye(5)
    matrices[0] = 2 * np.eye(5)  # done after one iteration, and left alone from there
    b = jnp.asarray(rng.normal(size=(3, 5)) * np.array([1.0, 1e-6, 1e6])[:, None])
    found = conjugate_gradient(lambda u: jnp.einsum("bij,bj->bi", matrices, u), b, 12)
    expected = np.linalg.solve(matrices, np.asarray(b)[..., None])[..., 0]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert not conjugate_gradient(lambda u: u, jnp.zeros((2, 3)), 5).any()


def draws(keys: Array, nodes: Nodes) -> np.ndarray:
    """The first draw of each step that `sample` hands to a solver."""

    def one(key: Array, index: int) -> Array:
        return jax.random.normal(jax.random.fold_in(jax.random.fold_in(key, index), 0), (DIM,))

    steps = range(nodes.time.shape[0] - 1)
    return np.stack([jax.vmap(one, (0, None))(keys, i) for i in steps])


def test_dps_is_its_algorithm_1() -> None:
    data, operator, zeta = mixed(DIM), mixing(), 0.3
    matrix, covariance, mean = matrix_of(operator, DIM), np.asarray(data.covariance), data.mean
    keys, nodes = sample_keys(jax.random.key(5), 3), nodes_of("cosine", 7)
    given = seen(operator, data, 3)
    y, noise = np.asarray(given["observation"]), draws(keys, nodes)
    x = np.asarray(prior(nodes, keys, (DIM,)))
    alphas, sigmas = np.asarray(nodes.level.alpha), np.asarray(nodes.level.sigma)
    for i in range(7):
        total = alphas[i] ** 2 * covariance + sigmas[i] ** 2 * np.eye(DIM)
        jacobian = alphas[i] * covariance @ np.linalg.inv(total)
        x0 = mean + (x - alphas[i] * mean) @ jacobian.T
        rest = y - x0 @ matrix.T
        # grad_x |y - A x0|², with zeta_i = zeta'/|y - A x0|.
        gradient = -2 * rest @ matrix @ jacobian
        gradient /= np.linalg.norm(rest, axis=1, keepdims=True)
        ratio, kept = alphas[i] / alphas[i + 1], (sigmas[i + 1] / sigmas[i]) ** 2
        gained = sigmas[i] ** 2 - ratio**2 * sigmas[i + 1] ** 2
        moved = ratio * kept * x + alphas[i + 1] * gained / sigmas[i] ** 2 * x0
        x = moved + np.sqrt(gained * kept) * noise[i] - zeta * gradient
    posterior = posteriors.make(f"dps(step={2 * zeta})", **given)
    found = drawn(data, posterior, solvers.make("ancestral"), nodes, keys)
    np.testing.assert_allclose(found, x, rtol=1e-9, atol=1e-9)


def test_diffpir_is_its_algorithm_1() -> None:
    data, operator, strength, zeta = mixed(DIM), mixing(), 5.0, 0.4
    matrix = matrix_of(operator, DIM)
    keys, nodes = sample_keys(jax.random.key(6), 3), nodes_of("cosine", 7)
    given = seen(operator, data, 3)
    y, noise = np.asarray(given["observation"]), draws(keys, nodes)
    x = np.asarray(prior(nodes, keys, (DIM,)))
    alphas, sigmas = np.asarray(nodes.level.alpha), np.asarray(nodes.level.sigma)
    for i in range(7):
        level = Level(jnp.asarray(alphas[i]), jnp.asarray(sigmas[i]))
        x0 = np.asarray(data.denoise(jnp.asarray(x), level))
        rho = strength * STD**2 / (sigmas[i] / alphas[i]) ** 2
        # argmin |y - A z|² + rho |z - x0|², by its normal equations.
        x0 = np.linalg.solve(matrix.T @ matrix + rho * np.eye(DIM), (y @ matrix + rho * x0).T).T
        eps = (x - alphas[i] * x0) / sigmas[i]
        eps = np.sqrt(1 - zeta) * eps + np.sqrt(zeta) * noise[i]
        x = alphas[i + 1] * x0 + sigmas[i + 1] * eps
    posterior = posteriors.make(f"diffpir(strength={strength}, zeta={zeta})", **given)
    found = drawn(data, posterior, solvers.make("ancestral"), nodes, keys)
    np.testing.assert_allclose(found, x, rtol=1e-8, atol=1e-8)


def moments(
    spec: str, data: Correlated, operator: Operator, solver: str = "ancestral"
) -> tuple[np.ndarray, ...]:
    """Mean and covariance of many samples, and those of the posterior."""
    count = 4000
    given = seen(operator, data, count)
    posterior = posteriors.make(spec, **given)
    keys = sample_keys(jax.random.key(7), count)
    nodes = nodes_of("cosine", 40)
    x = np.asarray(drawn(data, posterior, solvers.make(solver), nodes, keys))
    y = np.asarray(given["observation"][:1])  # type: ignore[index]
    # RePaint takes what it knows for exact.
    mean, spread = data.given(matrix_of(operator, DIM), y, 1e-6 if "repaint" in spec else STD)
    return x.mean(0), np.cov(x.T), mean[0], spread


def test_jumps_back_leave_the_law_alone() -> None:
    data = mixed(DIM)
    nothing = Mask(jnp.zeros(DIM))
    mean, spread, _, _ = moments("repaint(length=3, resample=3)", data, nothing, "heun")
    np.testing.assert_allclose(mean, data.mean, atol=0.06)
    np.testing.assert_allclose(spread, data.covariance, atol=0.08)


def test_how_far_what_only_approximates_is_off() -> None:
    # Strongly correlated values, half of them seen: the others follow from those, nearly.
    data, off = mixed(DIM, lowest=0.02), {}
    for spec in ("mmps", "dps", "diffpir", "repaint(resample=1)", "repaint(resample=10)"):
        mean, _, exact, _ = moments(spec, data, mask())
        off[spec] = np.linalg.norm(mean - exact) / np.linalg.norm(data.mean - exact)
    # As a share of how far the posterior's mean is from the prior's.
    assert off["mmps"] < 0.02
    assert all(0.1 < share < 0.9 for spec, share in off.items() if spec != "mmps"), off
    assert off["repaint(resample=10)"] < 0.7 * off["repaint(resample=1)"]
