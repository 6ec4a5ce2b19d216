"""Heun's method in the schedule's own time."""

from typing import ClassVar

from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import (
    Denoise,
    Noise,
    OneStep,
    State,
    solvers,
    unless_clean,
)
from diffusion_jax.sampling.solvers.euler import Euler, velocity
from diffusion_jax.struct import pytree


@solvers.register("heun")
@pytree
class Heun(OneStep):
    """Euler's step, then the mean of the slopes at both ends; the last step is Euler's.

    x_s = x_t + (s - t)/2 (dx/dt at t + dx/dt at the Euler estimate of x_s).

    Source: Karras et al. 2022 (EDM), algorithm 1.
    """

    formula: ClassVar[str] = (
        "x_s = x_t + (s − t)/2 (f(x_t, t) + f(x_t + (s − t) f(x_t, t), s)), f = dx/dt"
    )

    order = 2
    stochastic = False

    def evaluations(self, steps: int) -> int:
        return 2 * steps - 1

    def step(
        self, state: State, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> State:
        euler = Euler().step(state, here, there, denoise, noise)

        def correct() -> State:
            x0 = denoise(euler.x, there.level)
            slopes = velocity(state.x, euler.denoised, here) + velocity(euler.x, x0, there)
            return State(state.x + (there.time - here.time) / 2 * slopes, x0)

        return unless_clean(there, correct, euler)
