"""The two distributions whose denoiser is exact, on which the references were run."""

import functools
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import X0, Prediction, convert
from diffusion_jax.struct import pytree
from diffusion_jax.verification.oracles import Gaussian, GaussianMixture
from tests.golden.check import Uncovered
from tests.golden.load import case
from tests.golden.padding import rows


class Problem(Protocol):
    """A distribution with an exact denoiser; a pytree, so that one program serves all of a kind."""

    def denoise(self, x: Array, level: Level, condition: Any = None) -> Array:
        """E[x_0 | x]."""
        ...

    def log_density(self, x: Array, level: Level) -> Array:
        """log p(x) at a level, in nats."""
        ...


@pytree
class Rotated:
    """Another distribution in turned coordinates, x -> x q^T."""

    inner: Gaussian
    q: Array

    def denoise(self, x: Array, level: Level, condition: Any = None) -> Array:
        return self.inner.denoise(x @ self.q, level, condition) @ self.q.T

    def log_density(self, x: Array, level: Level) -> Array:
        """log p(x) at a level."""
        return self.inner.log_density(x @ self.q, level)


@functools.cache
def _constants(name: str, *arrays: str) -> tuple[np.ndarray, ...]:
    recorded = case("problems", name, "check")
    return tuple(np.asarray(recorded[array]) for array in arrays)


def mixture() -> GaussianMixture:
    """gmm2: three components in two dimensions; in the precision that is set now."""
    return GaussianMixture(*map(jnp.asarray, _constants("gmm2", "weights", "means", "stds")))


def problem(name: str | None) -> Problem:
    """A problem by the name that cases give it."""
    if name == "gmm2":
        return mixture()
    if name == "gauss16":
        q, mean, variance = map(jnp.asarray, _constants(name, "Q", "m", "lam"))
        return Rotated(Gaussian(mean @ q, jnp.sqrt(variance)), q)
    raise Uncovered(f"no exact distribution is called {name!r}")


@jax.jit
def _predicted(data: Problem, kind: Prediction, x: Array, level: Level) -> Array:
    # On clean data there is no noise to predict, and 0/0 would be in its place.
    noisy = Level(level.alpha, jnp.where(level.sigma > 0, level.sigma, 1))
    value = convert(data.denoise(x, noisy), x, noisy, X0(), kind)
    clean = kind.coefficients(level)[0][:, None] * x
    return jnp.where(level.sigma[:, None] > 0, value, clean)


def predicted(data: Problem, kind: Prediction, x: Any, alpha: Any, sigma: Any) -> np.ndarray:
    """What a network gives that knows the distribution, (..., dim).

    Args:
        data: the distribution.
        kind: what the network predicts.
        x: what it is given, (..., dim).
        alpha: of the levels, which broadcasts to all but the last axis of x.
        sigma: of the levels, likewise.
    """
    x = np.asarray(x)
    level = Level(*(rows(np.broadcast_to(v, x.shape[:-1]).ravel()) for v in (alpha, sigma)))
    flat = x.reshape(-1, x.shape[-1])
    return np.asarray(_predicted(data, kind, rows(flat), level))[: len(flat)].reshape(x.shape)
