"""Moment matching posterior sampling."""

from typing import ClassVar

from jaxtyping import Array, PyTree

from diffusion_jax.errors import within
from diffusion_jax.process.denoiser import Denoiser, DenoiserLike, as_denoiser
from diffusion_jax.process.level import Level
from diffusion_jax.sampling.inverse.base import NoisilyObserved, posteriors, tweedie
from diffusion_jax.sampling.inverse.solve import conjugate_gradient
from diffusion_jax.sampling.sampling_run import SamplingRun
from diffusion_jax.struct import pytree, static


@posteriors.register("mmps")
@pytree
class MMPS(NoisilyObserved):
    """V = sigma²/alpha dD/dx, the whole of it, with (s² + A V A^T)^-1 by conjugate gradients.

    D + V A^T (s² + A V A^T)^-1 (y - A D). Exact for all Gaussian data, with enough iterations.

    Attributes:
        operator: A, what is observed of a sample.
        observation: y of each sample.
        noise_std: s, standard deviation of the noise in y.
        iterations: of conjugate gradients; each is one product with the denoiser's Jacobian.

    Source: Rozet et al. 2024 (MMPS), eq. 16-19 and algorithm 3.
    """

    formula: ClassVar[str] = "D_y = D + V Aᵀ (noise_std² + A V Aᵀ)⁻¹ (y − A D), V = σ²/α ∂D/∂x"

    iterations: int = static(default=4)

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 1, float("inf"), "iterations")

    def denoiser(self, denoise: DenoiserLike, run: SamplingRun) -> Denoiser:
        inner = as_denoiser(denoise)

        def steered(x: Array, level: Level, condition: PyTree, end: Level | None) -> Array:
            A, At = self.operator, self.operator.transpose
            x0, covariance = tweedie(inner, x, level, condition, end)

            def apply(u: Array) -> Array:
                return self.noise_std**2 * u + A(covariance(At(u)))

            return x0 + covariance(
                At(conjugate_gradient(apply, self.observation - A(x0), self.iterations))
            )

        return inner.wrapped(steered)
