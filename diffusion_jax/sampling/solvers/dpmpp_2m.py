"""DPM-Solver++ (2M)."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import Denoise, Noise, State, solvers
from diffusion_jax.struct import pytree


@pytree
class MultistepState(State):
    """A `State` that remembers how long the last step was.

    Attributes:
        h: length of the last step in half log-SNR; infinite before the first.
    """

    h: Array


@solvers.register("dpmpp_2m")
@pytree
class DPMpp2M:
    """Second-order multistep: one evaluation a step, extrapolated with the one before.

    With lambda = log(alpha/sigma), h = lambda_s - lambda_t and the step before h':
    x_s = sigma_s/sigma_t x_t + alpha_s (1 - exp(-h)) (D + h/(2 h') (D - D')).
    The first step, and the last one onto clean data, are of first order.

    Source: Lu et al. 2022 (DPM-Solver++), algorithm 2.
    """

    order = 2
    stochastic = False
    needs_signal = False

    def evaluations(self, steps: int) -> int:
        return steps

    def init(self, x: Float[Array, "batch ..."], nodes: Nodes) -> MultistepState:
        return MultistepState(x, jnp.zeros_like(x), jnp.asarray(jnp.inf, x.dtype))

    def step(
        self, state: MultistepState, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> MultistepState:
        x0 = denoise(state.x, here.level)
        h = (there.level.log_snr - here.level.log_snr) / 2
        # h is infinite from a level without signal and to one without noise: no extrapolation.
        weight = jnp.where(jnp.isfinite(h), h / (2 * state.h), 0)
        estimate = x0 + weight * (x0 - state.denoised)
        ratio = there.level.sigma / here.level.sigma
        x = ratio * state.x - there.level.alpha * jnp.expm1(-h) * estimate
        return MultistepState(x, x0, h)
