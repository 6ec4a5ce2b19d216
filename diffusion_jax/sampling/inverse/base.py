"""What a posterior is: a denoiser, or a sampler, that knows an observation of the data.

Given y = A x_0 + noise, the score of p(x | y) is that of p(x) plus d log p(y | x)/dx, so that

    E[x_0 | x, y] = E[x_0 | x] + sigma²/alpha d log p(y | x)/dx.

With p(x_0 | x) taken as N(D, V), p(y | x) is N(A D, s² + A V A^T). Members differ in their V. By
Tweedie's formula the right covariance is V = sigma²/alpha dD/dx.
"""

import dataclasses
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from diffusion_jax.errors import within
from diffusion_jax.process.denoiser import Denoiser, DenoiserLike, as_denoiser
from diffusion_jax.process.level import Level
from diffusion_jax.registry import Registry
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.inverse.operators import Operator
from diffusion_jax.sampling.sampling_run import SamplingRun
from diffusion_jax.sampling.solvers import Solver
from diffusion_jax.struct import Scalar, pytree


@runtime_checkable
class Posterior(Protocol):
    """A method that samples data given an observation of it, with a denoiser that knows of none.

    It may change the denoiser, the solver, or the grid. Some change one of them, some two.
    """

    @property
    def observation(self) -> Float[Array, "batch ..."]:
        """y, a row per sample."""
        ...

    def denoiser(self, denoise: DenoiserLike, run: SamplingRun) -> Denoiser:
        """The denoiser, given the observation, for one run of a sampler."""
        ...

    def solver(self, solver: Solver) -> Solver:
        """The solver, given the observation."""
        ...

    def grid(self, nodes: Nodes) -> Nodes:
        """The levels that the solver visits."""
        ...

    def of(self, rows: Int[Array, "rows"]) -> "Posterior":
        """The posterior of some of the samples, whose rows of the observation are these."""
        ...


posteriors: Registry[Posterior] = Registry("posterior")


@pytree
class Observed:
    """What posteriors have in common: by default they change neither solver nor grid.

    Attributes:
        operator: A, what is observed of a sample.
        observation: y of each sample, of the shape of A x_0.
    """

    operator: Operator
    observation: Float[Array, "batch ..."]

    def denoiser(self, denoise: DenoiserLike, run: SamplingRun) -> Denoiser:
        return as_denoiser(denoise)

    def solver(self, solver: Solver) -> Solver:
        return solver

    def grid(self, nodes: Nodes) -> Nodes:
        return nodes

    def of(self, rows: Int[Array, "rows"]) -> "Observed":
        return dataclasses.replace(self, observation=self.observation[rows])


@pytree
class NoisilyObserved(Observed):
    """What posteriors have in common that reckon with noise in the observation.

    Attributes:
        operator: A, what is observed of a sample.
        observation: y of each sample, of the shape of A x_0.
        noise_std: s, standard deviation of the noise in y.
    """

    noise_std: Scalar

    def __post_init__(self) -> None:
        within(self, 0, float("inf"), "noise_std")


def tweedie(
    denoise: Denoiser,
    x: Float[Array, "batch ..."],
    level: Level,
    condition: PyTree,
    end: Level | None = None,
) -> tuple[Float[Array, "batch ..."], Callable[[Array], Array]]:
    """The denoised D, and v → sigma²/alpha (dD/dx)^T v, which is Cov[x_0 | x] v.

    At alpha = 0, where x says nothing, an observation changes nothing here: Cov v is 0.
    """
    x0, pull = jax.vjp(lambda x: denoise(x, level, condition, end), x)
    here = level.like(x)
    safe = jnp.where(here.alpha > 0, here.alpha, 1)
    factor = jnp.where(here.alpha > 0, here.sigma**2 / safe, 0)
    return x0, lambda v: factor * pull(v)[0]
