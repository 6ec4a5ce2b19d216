"""The Euler-Maruyama method on the reverse SDE, in the schedule's own time."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import one_of, within
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import (
    Denoise,
    Noise,
    OneStep,
    State,
    predicted_noise,
    solvers,
)
from diffusion_jax.sampling.solvers.diffusion import COEFFICIENTS, coefficient
from diffusion_jax.sampling.solvers.euler import velocity
from diffusion_jax.struct import Scalar, pytree, static

LAST = ("tweedie", "mean", "euler", "none")


class ReverseSDE(OneStep):
    """What solvers of the reverse SDE share: its coefficient, and how they end on clean data.

    Attributes:
        diffusion: name of the coefficient w(t), one of `diffusion.COEFFICIENTS`.
        norm: its size.
        last: the step onto clean data, one of `LAST`.
    """

    diffusion: str
    norm: Scalar
    last: str

    def __post_init__(self) -> None:
        """Checks the settings."""
        one_of(self.diffusion, COEFFICIENTS, "diffusion")
        one_of(self.last, LAST, "last step")
        within(self, 0, float("inf"), "norm")

    @property
    def needs_signal(self) -> bool:
        """g² is infinite where no signal is left; other coefficients are not."""
        return self.diffusion == "sbdm"

    def coefficient(self, node: Nodes) -> Float[Array, ""]:
        """w(t) at a node."""
        return coefficient(self.diffusion, self.norm, node)

    def drift(
        self, x: Float[Array, "batch ..."], x0: Float[Array, "batch ..."], node: Nodes
    ) -> Float[Array, "batch ..."]:
        """v - w score, with score = -eps/sigma."""
        eps = predicted_noise(x, x0, node.level)
        return velocity(x, x0, node) + self.coefficient(node) / node.level.sigma * eps

    def end(
        self, x: Float[Array, "batch ..."], x0: Float[Array, "batch ..."], node: Nodes
    ) -> Float[Array, "batch ..."]:
        """Clean data from the last noisy node, without noise."""
        if self.last == "mean":
            return x - node.time * self.drift(x, x0, node)
        if self.last == "euler":
            return x - node.time * velocity(x, x0, node)
        return x0 if self.last == "tweedie" else x


@solvers.register("euler_maruyama")
@pytree
class EulerMaruyama(ReverseSDE):
    """x_s = x_t + (s - t)(v - w score) + sqrt(2 w (t - s)) z: the reverse SDE, step by step.

    v is the probability flow, w(t) any coefficient (`solvers.diffusion.coefficient`): "sbdm" is
    the time reversal of the forward process, w = g²/2. Unlike exponential methods, steps must be
    small against the time in which the process forgets, which is short at low noise.

    Attributes:
        diffusion: w: "sbdm", "constant", "sigma", "linear", "decreasing" or
            "increasing_decreasing".
        norm: scale of w.
        last: the step onto clean data: "tweedie" is the denoised estimate; "mean" a step of the
            drift, "euler" one of the flow, both to t = 0, where the schedule must be clean;
            "none" leaves the noise that is left.

    Source: Song et al. 2021 (score SDE), eq. 6 and section 4.1; Ma et al. 2024 (SiT), section
    3.4 and appendix D for w and the last step.
    """

    formula: ClassVar[str] = "x_s = x_t + (s − t) (v − w ∇log p) + √(2w (t − s)) z, v = dx/dt"

    diffusion: str = static(default="sbdm")
    norm: Scalar = 1.0
    last: str = static(default="tweedie")

    order = 1
    stochastic = True

    def step(
        self, state: State, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> State:
        x0 = denoise(state.x, here.level)
        h = there.time - here.time  # negative
        mean = state.x + h * self.drift(state.x, x0, here)
        x = mean + jnp.sqrt(2 * self.coefficient(here) * -h) * noise(0)
        return State(jnp.where(there.level.sigma > 0, x, self.end(state.x, x0, here)), x0)
