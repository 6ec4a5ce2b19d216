"""DiffPIR: plug-and-play restoration with a diffusion prior."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, PyTree

from diffusion_jax.errors import positive, within
from diffusion_jax.process.denoiser import Denoiser, DenoiserLike, as_denoiser
from diffusion_jax.process.level import Level
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.inverse.base import NoisilyObserved, posteriors
from diffusion_jax.sampling.inverse.solve import conjugate_gradient
from diffusion_jax.sampling.sampling_run import SamplingRun
from diffusion_jax.sampling.solvers import Denoise, Noise, Solver, State
from diffusion_jax.sampling.solvers.base import OneStep, predicted_noise
from diffusion_jax.struct import Scalar, pytree, static


@pytree
class Renoise(OneStep):
    """x_s = alpha_s x_0 + sigma_s (sqrt(1 - zeta) eps + sqrt(zeta) z): a share of the noise fresh.

    Unlike DDIM's, the share does not shrink with the step, so that more steps are more mixing.

    Attributes:
        zeta: share of the fresh noise, of the variance.

    Source: Zhu et al. 2023 (DiffPIR), eq. 14.
    """

    zeta: Scalar = 1.0

    order = 1
    stochastic = True

    def step(
        self, state: State, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> State:
        x0 = denoise(state.x, here.level)
        eps = predicted_noise(state.x, x0, here.level)
        mixed = jnp.sqrt(1 - self.zeta) * eps + jnp.sqrt(self.zeta) * noise(0)
        return State(there.level.mix(x0, mixed), x0)


@posteriors.register("diffpir")
@pytree
class DiffPIR(NoisilyObserved):
    """argmin_z |y - A z|² + rho |z - D|², rho = strength s² alpha²/sigma²; then noise, part fresh.

    It is the mean of x_0 given y under a prior N(D, sigma²/(alpha² strength) I): no derivative of
    the denoiser is needed. A prior of that shape is right for hardly any data, so it approximates.
    Steps are its own, whatever the solver.

    Attributes:
        operator: A, what is observed of a sample.
        observation: y of each sample.
        noise_std: s, standard deviation of the noise in y.
        strength: of the prior, the paper's lambda.
        zeta: share of the noise that is fresh on every step.
        iterations: of conjugate gradients; one is enough where A A^T is a multiple of the identity.

    Source: Zhu et al. 2023 (DiffPIR), eq. 12-14 and algorithm 1.
    """

    formula: ClassVar[str] = (
        "D_y = argmin_z |y − A z|² + strength noise_std² α²/σ² |z − D|², x_s = α_s D_y + σ_s (√(1 "
        "− zeta) ε̂ + √zeta z)"
    )

    strength: Scalar = 8.0
    zeta: Scalar = 0.3
    iterations: int = static(default=8)

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "strength")
        within(self, 0, 1, "zeta")
        within(self, 1, float("inf"), "iterations")

    def denoiser(self, denoise: DenoiserLike, run: SamplingRun) -> Denoiser:
        inner = as_denoiser(denoise)

        def steered(x: Array, level: Level, condition: PyTree, end: Level | None) -> Array:
            here, A, At = level.like(x), self.operator, self.operator.transpose
            x0 = inner(x, level, condition, end)
            rho = self.strength * (self.noise_std * here.alpha / here.sigma) ** 2

            def apply(u: Array) -> Array:
                return rho * u + A(At(u))

            return x0 + At(conjugate_gradient(apply, self.observation - A(x0), self.iterations))

        return inner.wrapped(steered)

    def solver(self, solver: Solver) -> Solver:
        return Renoise(self.zeta)
