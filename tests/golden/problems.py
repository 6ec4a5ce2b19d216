"""The two distributions whose denoiser is exact, on which the references were run."""

import functools
from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from diffusion_jax.oracles import Gaussian, GaussianMixture
from diffusion_jax.process.level import Level
from diffusion_jax.struct import pytree
from tests.golden.load import case


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
    raise KeyError(f"no exact distribution is called {name!r}")
