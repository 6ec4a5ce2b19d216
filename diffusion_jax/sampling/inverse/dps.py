"""Diffusion posterior sampling."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, PyTree

from diffusion_jax.errors import within
from diffusion_jax.process.denoiser import Denoiser, DenoiserLike, as_denoiser
from diffusion_jax.process.level import Level
from diffusion_jax.process.per_sample import inner as product
from diffusion_jax.sampling.inverse.base import Observed, posteriors, tweedie
from diffusion_jax.sampling.sampling_run import SamplingRun, next_level
from diffusion_jax.struct import Scalar, pytree


@posteriors.register("dps")
@pytree
class DPS(Observed):
    """x_s moves by -step d|y - A D(x)|/dx on every step of ancestral sampling.

    Such a step has the weight k = alpha_s (1 - (sigma_s alpha/(alpha_s sigma))²) for its estimate
    of x_0, so that the same move is made by the estimate D - step/k d|y - A D(x)|/dx, which every
    solver takes. It approximates: how strongly the observation counts is set by `step` and the
    number of steps, not by its noise, and the spread of the samples is not that of the posterior.

    Attributes:
        operator: A, what is observed of a sample.
        observation: y of each sample.
        step: length of the move, in units of x; twice the paper's zeta'.

    Source: Chung et al. 2023 (DPS), algorithm 1, with the step sizes of its section C.2.
    """

    formula: ClassVar[str] = "D_y = D − step/k ∂|y − A D|/∂x, k = α_s (1 − (σ_s α_t/(α_s σ_t))²)"

    step: Scalar = 1.0

    def __post_init__(self) -> None:
        within(self, 0, float("inf"), "step")

    def denoiser(self, denoise: DenoiserLike, run: SamplingRun) -> Denoiser:
        inner = as_denoiser(denoise)

        def steered(x: Array, level: Level, condition: PyTree, end: Level | None) -> Array:
            here, there = level.like(x), next_level(level, run.nodes).like(x)
            x0, covariance = tweedie(inner, x, level, condition, end)
            rest = self.observation - self.operator(x0)
            distance = jnp.sqrt(product(rest, rest))
            # -d|rest|/dx = alpha/sigma² Cov A^T rest/|rest|
            pull = covariance(self.operator.transpose(rest / jnp.where(distance > 0, distance, 1)))
            kept = there.noise_to_signal / here.noise_to_signal
            weight = there.alpha * (1 - kept**2)
            return x0 + self.step / weight * here.alpha / here.sigma**2 * pull

        return inner.wrapped(steered)
