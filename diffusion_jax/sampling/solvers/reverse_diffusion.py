"""The reverse diffusion sampler."""

from typing import ClassVar

import jax.numpy as jnp

from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import (
    Denoise,
    Noise,
    OneStep,
    State,
    predicted_noise,
    solvers,
)
from diffusion_jax.struct import pytree, static


@solvers.register("reverse_diffusion")
@pytree
class ReverseDiffusion(OneStep):
    """Undoes a step of the forward process as the forward process makes it.

    One forward step from s to t is x_t = r x_s + G z, r = alpha_t/alpha_s and
    G² = sigma_t² - r² sigma_s². Undone: x_s = (2 - r) x_t + G² score + G z.
    Unlike Euler-Maruyama it knows no clock: only alpha and sigma count.

    Attributes:
        probability_flow: half of the score and no noise instead, which is deterministic.

    Source: Song et al. 2021 (score SDE), eq. 46-47 and appendix E.
    """

    formula: ClassVar[str] = "x_s = (2 − r) x_t + G² ∇log p + G z, r = α_t/α_s, G² = σ_t² − r² σ_s²"

    probability_flow: bool = static(default=False)

    order = 1

    @property
    def stochastic(self) -> bool:
        """Unless it follows the probability flow."""
        return not self.probability_flow

    def step(
        self, state: State, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> State:
        x0 = denoise(state.x, here.level)
        score = -predicted_noise(state.x, x0, here.level) / here.level.sigma
        ratio = here.level.alpha / there.level.alpha
        gained = jnp.maximum(here.level.sigma**2 - (ratio * there.level.sigma) ** 2, 0)
        if self.probability_flow:
            x = (2 - ratio) * state.x + gained / 2 * score
        else:
            x = (2 - ratio) * state.x + gained * score + jnp.sqrt(gained) * noise(0)
        return State(jnp.where(there.level.sigma > 0, x, there.level.alpha * x0), x0)
