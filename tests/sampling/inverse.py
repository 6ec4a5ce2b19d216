"""Gaussian data of which something is seen: the posterior is exact, at every level of noise."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.grids import Nodes, grids
from diffusion_jax.sampling.inverse import Operator, Posterior
from diffusion_jax.sampling.loop import prior, sample_keys
from diffusion_jax.sampling.sample import Steering, steered_from
from diffusion_jax.sampling.solvers import Solver
from diffusion_jax.struct import pytree
from tests.sampling.exact import compiled


@pytree
class Correlated:
    """N(mean, covariance), and its denoiser."""

    mean: Array
    covariance: Array

    def denoise(self, x: Array, level: Level, condition: object = None) -> Array:
        total = level.alpha**2 * self.covariance + level.sigma**2 * jnp.eye(self.mean.shape[0])
        gain = level.alpha * jnp.linalg.solve(total, self.covariance)
        return self.mean + (x - level.alpha * self.mean) @ gain

    def given(self, matrix: np.ndarray, y: np.ndarray, std: float) -> tuple[np.ndarray, np.ndarray]:
        """Mean (batch, dim) and covariance of x_0 given y = matrix x_0 + std noise."""
        mean, covariance = np.asarray(self.mean), np.asarray(self.covariance)
        total = matrix @ covariance @ matrix.T + std**2 * np.eye(matrix.shape[0])
        gain = np.linalg.solve(total, matrix @ covariance).T
        return mean + (y - mean @ matrix.T) @ gain.T, covariance - gain @ matrix @ covariance


def mixed(dim: int, lowest: float = 0.1) -> Correlated:
    """Correlated values, whose variances along some axes are lowest … 1."""
    rng = np.random.default_rng(0)
    q, _ = np.linalg.qr(rng.normal(size=(dim, dim)))
    covariance = q @ np.diag(np.geomspace(1, lowest, dim)) @ q.T
    return Correlated(jnp.asarray(rng.normal(size=dim)), jnp.asarray(covariance))


def independent(dim: int) -> Correlated:
    """Independent values of different variances."""
    return Correlated(jnp.linspace(-1, 1, dim), jnp.diag(jnp.geomspace(1, 0.1, dim)))


def isotropic(dim: int, std: float) -> Correlated:
    """Independent values of one variance."""
    return Correlated(jnp.linspace(-1, 1, dim), std**2 * jnp.eye(dim))


def matrix_of(operator: Operator, dim: int) -> np.ndarray:
    """The matrix of an operator of vectors, (observed, dim)."""
    return np.asarray(operator(jnp.eye(dim))).T


def nodes_of(schedule: str, steps: int, grid: str = "karras") -> Nodes:
    return compiled(grids.make(grid), schedules.make(schedule), steps)


@jax.jit
def drawn(
    data: Correlated, posterior: Posterior, solver: Solver, nodes: Nodes, keys: Array
) -> Array:
    """Samples given an observation, one per key."""
    dim = data.mean.shape[0]
    start = prior(nodes, keys, (dim,))
    given = Steering(posterior=posterior)
    return steered_from(data.denoise, solver, nodes, start, keys, None, given)


@jax.jit
def affine(
    data: Correlated, posterior: Posterior, solver: Solver, nodes: Nodes, mean: Array
) -> tuple[Array, Array]:
    """Exact mean and covariance of what a deterministic solver makes of N(alpha mean, sigma² I).

    On Gaussian data it is affine in where it starts: there, and a unit along each axis away.
    """
    dim = data.mean.shape[0]
    scale = nodes.level.sigma[0]
    units = jnp.concatenate([jnp.zeros((1, dim)), jnp.eye(dim)])
    rows = nodes.level.alpha[0] * mean + scale * units
    keys = sample_keys(jax.random.key(0), dim + 1)
    given = Steering(posterior=posterior)
    x = steered_from(data.denoise, solver, nodes, rows, keys, None, given)
    unit = x[1:] - x[0]
    return x[0], unit.T @ unit
