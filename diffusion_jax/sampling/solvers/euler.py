"""Euler's method in the schedule's own time."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import (
    Denoise,
    Noise,
    OneStep,
    State,
    predicted_noise,
    solvers,
)
from diffusion_jax.struct import pytree


def velocity(
    x: Float[Array, "batch ..."], x0: Float[Array, "batch ..."], node: Nodes
) -> Float[Array, "batch ..."]:
    """dx/dt = alpha'(t) x_0 + sigma'(t) eps, the probability-flow ODE.

    Source: Song et al. 2021 (score SDE), eq. 13; Lipman et al. 2022 (flow matching), theorem 3.
    """
    return node.rate.alpha * x0 + node.rate.sigma * predicted_noise(x, x0, node.level)


@solvers.register("euler")
@pytree
class Euler(OneStep):
    """x_s = x_t + (s - t) dx/dt.

    Depends on the schedule's clock, unlike DDIM; the two agree where alpha and sigma are linear
    in time (rectified flow without shift, EDM).

    Source: Karras et al. 2022 (EDM), algorithm 1 without correction.
    """

    formula: ClassVar[str] = "x_s = x_t + (s − t) dx/dt"

    order = 1
    stochastic = False

    def step(
        self, state: State, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> State:
        x0 = denoise(state.x, here.level)
        x = state.x + (there.time - here.time) * velocity(state.x, x0, here)
        return State(jnp.where(there.level.sigma > 0, x, there.level.alpha * x0), x0)
