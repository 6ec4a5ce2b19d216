"""Tweedie moment projected diffusion."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, PyTree

from diffusion_jax.process.denoiser import Denoiser, DenoiserLike, as_denoiser
from diffusion_jax.process.level import Level
from diffusion_jax.sampling.inverse.base import NoisilyObserved, posteriors, tweedie
from diffusion_jax.sampling.sampling_run import SamplingRun
from diffusion_jax.struct import pytree


@posteriors.register("tmpd")
@pytree
class TMPD(NoisilyObserved):
    """V = sigma²/alpha dD/dx, of which A V A^T is replaced by the diagonal of its row sums.

    D + V A^T (y - A D)/(s² + A V A^T 1). Exact for Gaussian data where A V A^T is diagonal, as
    for independent values behind a mask. Two products with V, whatever the data.

    Attributes:
        operator: A, what is observed of a sample.
        observation: y of each sample.
        noise_std: s, standard deviation of the noise in y.

    Source: Boys et al. 2023 (TMPD), eq. 9-10 and section 3.2.
    """

    formula: ClassVar[str] = "D_y = D + V Aᵀ (y − A D)/(noise_std² + A V Aᵀ 1), V = σ²/α ∂D/∂x"

    def denoiser(self, denoise: DenoiserLike, run: SamplingRun) -> Denoiser:
        inner = as_denoiser(denoise)

        def steered(x: Array, level: Level, condition: PyTree, end: Level | None) -> Array:
            A, At = self.operator, self.operator.transpose
            x0, covariance = tweedie(inner, x, level, condition, end)
            rest = self.observation - A(x0)
            variance = self.noise_std**2 + A(covariance(At(jnp.ones_like(rest))))
            # Row sums may be negative, and are 0 where nothing is seen.
            known = variance > 0
            return x0 + covariance(At(jnp.where(known, rest / jnp.where(known, variance, 1), 0)))

        return inner.wrapped(steered)
