"""The linear multistep method of Adams and Bashforth, on any grid."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import one_of, within
from diffusion_jax.process.level import Level
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import (
    Denoise,
    Memory,
    MultistepState,
    Noise,
    Solver,
    predicted_noise,
    solvers,
)
from diffusion_jax.sampling.solvers.rescaled import denoised_at
from diffusion_jax.struct import pytree, static

# Gauss and Legendre's two points on [0, 1]: exact for polynomials up to degree 3, so for order 4.
_POINTS = (0.5 - 0.5 / 3**0.5, 0.5 + 0.5 / 3**0.5)


@solvers.register("lms")
@pytree
class LMS(Solver[MultistepState]):
    """z_next = z + sum_j c_j eps_j, c_j = int_s^s_next prod_{k≠j} (u - s_k)/(s_j - s_k) du.

    The noise eps = dz/ds of the last few evaluations is extrapolated by the polynomial through
    them, which is integrated exactly: the method of Adams and Bashforth in s = sigma/alpha. The
    first steps have fewer evaluations to go by.

    Attributes:
        points: how many evaluations the polynomial goes through, 1 to 4.
        start: "runge_kutta" takes the first steps, all but two of those without enough to go by,
            by Heun's method of third order, so that the order is `points`; "euler" goes by what
            there is from the first step on, as is usual, which bounds the order by 2.
        last: of the step onto clean data: "first" order returns the estimate; "full" extrapolates
            there too, as k-diffusion does, up to a thousand times as far as its evaluations lie
            apart.

    Source: Hairer, Nørsett & Wanner 1993 (Solving ordinary differential equations I), section
    III.5, and table II.1.1 for the start; k-diffusion (Crowson 2022), `lms`, for its use here.
    """

    formula: ClassVar[str] = (
        "y_s = y_t + Σⱼ cⱼ εⱼ, cⱼ = ∫ ∏ₖ (q − qₖ)/(qⱼ − qₖ) dq from q_t to q_s, k ≠ j, y = x/α, q "
        "= σ/α"
    )

    points: int = static(4)
    start: str = static("runge_kutta")
    last: str = static("first")

    stochastic = False
    needs_signal = True

    def __post_init__(self) -> None:
        within(self, 1, 4, "points")
        one_of(self.start, ("runge_kutta", "euler"), "start of solver 'lms'")
        one_of(self.last, ("first", "full"), "last of solver 'lms'")

    @property
    def order(self) -> int:
        """Of global convergence."""
        return self.points if self.start == "runge_kutta" else min(self.points, 2)

    @property
    def _started(self) -> int:
        """How many steps Runge and Kutta take."""
        return max(self.points - 2, 0) if self.start == "runge_kutta" else 0

    def evaluations(self, steps: int) -> int:
        return steps + 2 * min(steps, self._started)

    def init(self, x: Float[Array, "batch ..."], nodes: Nodes) -> MultistepState:
        memory = Memory.empty(x, nodes, self.points)
        return MultistepState(x, jnp.zeros_like(x), memory, nodes.steps)

    def step(
        self, state: MultistepState, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> MultistepState:
        x0 = denoise(state.x, here.level)
        eps = predicted_noise(state.x, x0, here.level)
        slopes = state.memory.push(eps, here)
        z, s = state.x / here.level.alpha, here.level.noise_to_signal
        h = there.level.noise_to_signal - s

        def adams_bashforth() -> Array:
            weights = self._weights(slopes, there.level).astype(eps.dtype)
            return jnp.tensordot(weights, slopes.estimates, axes=1)

        def runge_kutta() -> Array:
            second = self._slope(denoise, z + h / 3 * eps, s + h / 3)
            third = self._slope(denoise, z + 2 * h / 3 * second, s + 2 * h / 3)
            return h / 4 * (eps + 3 * third)

        if self._started:
            early = slopes.count <= self._started
            change = jax.lax.cond(early, runge_kutta, adams_bashforth)
        else:
            change = adams_bashforth()
        x = there.level.alpha * (z + change)
        if self.last == "first":
            x = jnp.where(there.level.sigma > 0, x, there.level.alpha * x0)
        return MultistepState(x, x0, slopes, state.left - 1)

    def _slope(
        self, denoise: Denoise, z: Float[Array, "batch ..."], s: Float[Array, ""]
    ) -> Float[Array, "batch ..."]:
        return (z - denoised_at(denoise, z, s)) / s

    def _weights(self, slopes: Memory, there: Level) -> Float[Array, "points"]:
        """The integral of each Lagrange polynomial from the latest s to the next."""
        s, s_next = slopes.node.level.noise_to_signal, there.noise_to_signal
        known = jnp.arange(self.points) < slopes.count
        others = known & ~jnp.eye(self.points, dtype=bool)
        u = s[0] + jnp.array(_POINTS) * (s_next - s[0])
        apart = jnp.where(others, s[:, None] - s, 1)
        factors = jnp.where(others, (u[:, None, None] - s) / apart, 1)
        return jnp.where(known, (s_next - s[0]) * factors.prod(-1).mean(0), 0)
