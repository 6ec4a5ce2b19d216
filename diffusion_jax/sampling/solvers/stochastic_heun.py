"""Heun's method on the reverse SDE, in the schedule's own time."""

from typing import ClassVar

import jax.numpy as jnp

from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import Denoise, Noise, State, solvers, unless_clean
from diffusion_jax.sampling.solvers.euler_maruyama import ReverseSDE
from diffusion_jax.struct import Scalar, pytree, static


@solvers.register("stochastic_heun")
@pytree
class StochasticHeun(ReverseSDE):
    """The noise of a step first, then Heun's method on the drift v - w score.

    x_hat = x_t + sqrt(2 w (t - s)) z;
    x_s = x_hat + (s - t)/2 (drift at x_hat, t + drift at the Euler estimate of x_s, s).
    Of first order in distribution, like the split of noise and drift.

    Attributes:
        diffusion: w, as of solver `euler_maruyama`; with "sbdm", steep near the noisy end, the
            method needs small steps there.
        norm: scale of w.
        last: the step onto clean data, as there.

    Source: Ma et al. 2024 (SiT), appendix D, with Karras et al. 2022 (EDM), algorithm 2.
    """

    formula: ClassVar[str] = (
        "x̂ = x_t + √(2w (t − s)) z, x_s = x̂ + (s − t)/2 (f(x̂, t) + f(x̂ + (s − t) f(x̂, t), "
        "s)), f = dx/dt − w ∇log p"
    )

    diffusion: str = static(default="sigma")
    norm: Scalar = 1.0
    last: str = static(default="tweedie")

    order = 1
    stochastic = True

    def evaluations(self, steps: int) -> int:
        return 2 * steps - 1

    def step(
        self, state: State, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> State:
        h = there.time - here.time  # negative
        added = jnp.sqrt(2 * self.coefficient(here) * -h)
        x = state.x + jnp.where(there.level.sigma > 0, added, 0) * noise(0)
        x0 = denoise(x, here.level)

        def correct() -> State:
            slope = self.drift(x, x0, here)
            euler = x + h * slope
            after = denoise(euler, there.level)
            return State(x + h / 2 * (slope + self.drift(euler, after, there)), after)

        return unless_clean(there, correct, State(self.end(x, x0, here), x0))
