"""Shortcut models: one long step is two short ones."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import within
from diffusion_jax.fewstep.base import Networks, fewstep
from diffusion_jax.fewstep.straight import StraightPath
from diffusion_jax.process.per_sample import mean_square, wide
from diffusion_jax.struct import Scalar, pytree, static


@fewstep.register("shortcut")
@pytree
class Shortcut(StraightPath):
    """|s(x, t, t - 2d) - (s_1 + s_2)/2|², s_1 and s_2 being two steps of length d in a row.

    s_1 = s(x, t, t - d), x' = x - d s_1, s_2 = s(x', t - d, t - 2d), all constants. d is a power of
    two from 1/finest to 1/2, t a multiple of 2d; steps of the finest length go by the velocity,
    s(x, t, t). The other samples train that: |s(x, t, t) - (eps - x_0)|², t uniform. In the
    straight path's time.

    Attributes:
        finest: steps of the shortest length, a power of two.
        share: of the samples on which one step is held against two.
        average: whether the two are those of the moving average of the parameters.

    Source: Frans et al. 2024 (shortcut models), algorithm 1 and eq. 5; there t runs towards data.
    """

    formula: ClassVar[str] = (
        "L = |s(x, t, t − 2d) − (s₁ + s₂)/2|², s₁ = s(x, t, t − d), s₂ = s(x − d s₁, t − d, t − "
        "2d), or |s(x, t, t) − (ε − x₀)|²"
    )

    finest: int = static(128)
    share: Scalar = 0.25
    average: bool = static(default=True)

    teaches = False
    tells_end = True
    draws = 3

    def __post_init__(self) -> None:
        within(self, 2, float("inf"), "finest")
        within(self, 0, 1, "share")

    def loss(
        self,
        networks: Networks,
        x0: Float[Array, "batch ..."],
        eps: Float[Array, "batch ..."],
        uniform: Float[Array, "batch draws"],
        progress: Float[Array, ""],
    ) -> Float[Array, "batch"]:
        doublings = self.finest.bit_length() - 1
        steps = 2 ** jnp.floor(uniform[:, 1] * doublings)  # of length 2d
        on_grid = (jnp.floor(uniform[:, 0] * steps) + 1) / steps
        long = uniform[:, 2] < self.share
        time = jnp.where(long, on_grid, 1 - uniform[:, 0])
        half = jnp.where(long, 0.5 / steps, 0)
        x = self.schedule.level(time).mix(x0, eps)

        exact = half * self.finest <= 1  # the finest steps go by the velocity
        middle, end = time - half, time - 2 * half
        first = networks.target(x, time, jnp.where(exact, time, middle))
        there = x - wide(half, x) * first
        second = networks.target(there, middle, jnp.where(exact, middle, end))
        wanted = jnp.where(wide(long, x), (first + second) / 2, eps - x0)
        return mean_square(networks.student(x, time, end) - jax.lax.stop_gradient(wanted))
