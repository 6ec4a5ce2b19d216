"""Pseudoinverse-guided diffusion."""

from typing import ClassVar

from jaxtyping import Array, PyTree

from diffusion_jax.errors import positive, within
from diffusion_jax.process.denoiser import Denoiser, DenoiserLike, as_denoiser
from diffusion_jax.process.level import Level
from diffusion_jax.sampling.inverse.base import NoisilyObserved, posteriors, tweedie
from diffusion_jax.sampling.inverse.solve import conjugate_gradient
from diffusion_jax.sampling.sampling_run import SamplingRun
from diffusion_jax.struct import Scalar, pytree, static


@posteriors.register("pigdm")
@pytree
class PiGDM(NoisilyObserved):
    """V = r² I with r² = data_std² sigma²/(alpha² data_std² + sigma²).

    D + sigma²/alpha (dD/dx)^T A^T (s² + r² A A^T)^-1 (y - A D). Exact for data N(m, data_std² I).

    Attributes:
        operator: A, what is observed of a sample.
        observation: y of each sample.
        noise_std: s, standard deviation of the noise in y.
        data_std: standard deviation of the data, 1 in the paper.
        iterations: of conjugate gradients; one is enough where A A^T is a multiple of the identity.

    Source: Song et al. 2023 (PiGDM), eq. 7-8 and section 3.3.
    """

    formula: ClassVar[str] = (
        "D_y = D + σ²/α (∂D/∂x)ᵀ Aᵀ (noise_std² + r² A Aᵀ)⁻¹ (y − A D), r² = data_std² σ²/(α² "
        "data_std² + σ²)"
    )

    data_std: Scalar = 1.0
    iterations: int = static(default=8)

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "data_std")
        within(self, 1, float("inf"), "iterations")

    def denoiser(self, denoise: DenoiserLike, run: SamplingRun) -> Denoiser:
        inner = as_denoiser(denoise)

        def steered(x: Array, level: Level, condition: PyTree, end: Level | None) -> Array:
            here, A, At = level.like(x), self.operator, self.operator.transpose
            x0, covariance = tweedie(inner, x, level, condition, end)
            total = (here.alpha * self.data_std) ** 2 + here.sigma**2
            variance = (self.data_std * here.sigma) ** 2 / total

            def apply(u: Array) -> Array:
                return self.noise_std**2 * u + A(variance * At(u))

            return x0 + covariance(
                At(conjugate_gradient(apply, self.observation - A(x0), self.iterations))
            )

        return inner.wrapped(steered)
