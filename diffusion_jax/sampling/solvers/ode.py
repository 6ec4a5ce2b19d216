"""The probability flow by a method that chooses its own steps."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import one_of, positive
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.integrate import METHODS, Integrator, depth, level_at, scale
from diffusion_jax.sampling.solvers.base import (
    AdaptiveState,
    Denoise,
    Noise,
    Solver,
    solvers,
    unless_clean,
)
from diffusion_jax.struct import Scalar, pytree, static


@solvers.register("ode")
@pytree
class ODE(Solver[AdaptiveState]):
    """du/dy = E[x_0 | u] - tanh(y) u, for u = x/sqrt(alpha² + sigma²), y = asinh(alpha/sigma).

    An embedded Runge-Kutta pair steps from node to node with steps of its own, each sample with
    its own sizes, until the estimated error is within the tolerance. The grid gives the nodes to
    pass through, of which few are needed; the last step, onto clean data, is the denoised estimate.

    Attributes:
        method: "bosh3", "tsit5", "dopri5" or "dopri8".
        rtol: relative tolerance of a step.
        atol: absolute tolerance, in units of the data.
        max_steps: between two nodes; a sample that needs more becomes NaN.

    Source: Dormand & Prince 1980 for "dopri5"; Song et al. 2021 (score SDE), section 4.3.
    """

    formula: ClassVar[str] = "du/dy = E[x₀ | u] − tanh(y) u, u = x/√(α² + σ²), y = asinh(α/σ)"

    method: str = static(default="dopri5")
    rtol: Scalar = 1e-4
    atol: Scalar = 1e-4
    max_steps: int = static(default=1000)

    stochastic = False
    needs_signal = False
    adaptive = True

    def __post_init__(self) -> None:
        one_of(self.method, [name.lower() for name in METHODS], "method")
        positive(self, "rtol", "atol", "max_steps")

    @property
    def integrator(self) -> Integrator:
        """What steps from node to node."""
        return Integrator(self.method, self.rtol, self.atol, self.max_steps)

    @property
    def order(self) -> int:
        """Of the method: how fast errors fall with evaluations."""
        return self.integrator.order

    def evaluations(self, steps: int) -> int:
        return steps + (steps - 1) * self.integrator.most_evaluations

    def init(self, x: Float[Array, "batch ..."], nodes: Nodes) -> AdaptiveState:
        return AdaptiveState(x, jnp.zeros_like(x), jnp.zeros(x.shape[0], int))

    def step(
        self, state: AdaptiveState, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> AdaptiveState:
        x0 = denoise(state.x, here.level)
        asked = state.evaluations + 1

        def slope(y: Float[Array, "batch"], u: Float[Array, "batch ..."]) -> Array:
            level = level_at(y)
            return denoise(u, level) - level.like(u).alpha * u

        def flow() -> AdaptiveState:
            u = state.x / scale(here.level)
            u, more = self.integrator(slope, u, depth(here.level), depth(there.level))
            return AdaptiveState(scale(there.level) * u, x0, asked + more)

        return unless_clean(there, flow, AdaptiveState(x0, x0, asked))
