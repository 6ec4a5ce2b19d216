"""DPM-Solver++ (2M)."""

import jax.numpy as jnp

from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import (
    Denoise,
    Multistep,
    MultistepState,
    Noise,
    solvers,
)
from diffusion_jax.struct import pytree


@solvers.register("dpmpp_2m")
@pytree
class DPMpp2M(Multistep):
    """Second-order multistep: one evaluation a step, extrapolated with the one before.

    With lambda = log(alpha/sigma), h = lambda_s - lambda_t and the step before h':
    x_s = sigma_s/sigma_t x_t + alpha_s (1 - exp(-h)) (D + h/(2 h') (D - D')).
    The first step, and the last one onto clean data, are of first order.

    Source: Lu et al. 2022 (DPM-Solver++), algorithm 2.
    """

    order = 2
    stochastic = False

    def step(
        self, state: MultistepState, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> MultistepState:
        x0, before = denoise(state.x, here.level), state.memory
        h = (there.level.log_snr - here.level.log_snr) / 2
        h_before = (here.level.log_snr - before.node.level.log_snr[0]) / 2
        # h is infinite from a level without signal and to one without noise: no extrapolation.
        extrapolate = (before.count > 0) & jnp.isfinite(h)
        weight = jnp.where(extrapolate, h / (2 * h_before), 0)
        estimate = x0 + weight * (x0 - before.estimates[0])
        ratio = there.level.sigma / here.level.sigma
        x = ratio * state.x - there.level.alpha * jnp.expm1(-h) * estimate
        return MultistepState(x, x0, before.push(x0, here), state.left - 1)
