"""Improved PNDM."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from diffusion_jax.errors import within
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.adams import lagrange
from diffusion_jax.sampling.solvers.base import (
    Denoise,
    Multistep,
    MultistepState,
    Noise,
    predicted_noise,
    solvers,
)
from diffusion_jax.struct import pytree, static


def adams_bashforth(kept: int, count: Int[Array, ""]) -> Float[Array, "kept"]:
    """The weights of the last `count` of `kept` values, as if at equal distances, latest first.

    The polynomial through the values at 0, -1, -2 …, integrated from 0 to 1.

    >>> [round(float(w), 4) for w in 2 * adams_bashforth(3, jnp.array(2))]
    [3.0, -1.0, 0.0]
    """
    places, used = -jnp.arange(kept, dtype=float), jnp.arange(kept) < count
    return lagrange(places, used) @ (1 / jnp.arange(1, kept + 1))


@solvers.register("ipndm")
@pytree
class IPNDM(Multistep):
    """DDIM's step with Adams-Bashforth's mean of the last eps, fewer of them at the start.

    x_s = alpha_s (x_t - sigma_t eps')/alpha_t + sigma_s eps', with eps' = eps, (3 eps - eps_1)/2,
    (23 eps - 16 eps_1 + 5 eps_2)/12, (55 eps - 59 eps_1 + 37 eps_2 - 9 eps_3)/24. These are of
    their order for equal steps of sigma/alpha, which no grid has; on a smooth grid of second.

    Attributes:
        degree: how many values of eps are used, 1 to 4.

    Source: Zhang & Chen 2022 (DEIS), appendix H.2; Liu et al. 2022 (PNDM), eq. 9 and 12.

    >>> IPNDM().order
    2
    """

    formula: ClassVar[str] = (
        "x_s = α_s (x_t − σ_t ε′)/α_t + σ_s ε′, ε′ = (55 ε₀ − 59 ε₁ + 37 ε₂ − 9 ε₃)/24, ε₀ … ε₃ "
        "the last ε̂"
    )

    degree: int = static(4)

    stochastic = False

    def __post_init__(self) -> None:
        within(self, 1, 4, "degree")

    @property
    def kept(self) -> int:
        """Evaluations that it remembers."""
        return self.degree

    @property
    def order(self) -> int:
        """That of unequal steps at most."""
        return min(self.degree, 2)

    def step(
        self, state: MultistepState, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> MultistepState:
        x0 = denoise(state.x, here.level)
        memory = state.memory.push(predicted_noise(state.x, x0, here.level), here)
        eps = jnp.tensordot(adams_bashforth(self.degree, memory.count), memory.estimates, 1)
        # The first step may start without signal.
        rest = jnp.where(
            memory.count > 1, (state.x - here.level.sigma * eps) / here.level.alpha, x0
        )
        x = there.level.alpha * rest + there.level.sigma * eps
        return MultistepState(x, x0, memory, state.left - 1)
