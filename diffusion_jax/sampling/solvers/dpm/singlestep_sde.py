"""DPM-Solver++ for the stochastic differential equation, with two evaluations a step."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import positive, within
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import (
    Denoise,
    Noise,
    OneStep,
    State,
    adds_noise,
    solvers,
    unless_clean,
)
from diffusion_jax.sampling.solvers.rescaled import denoised_at, down_and_up, towards
from diffusion_jax.struct import Scalar, pytree


def shared_part(
    s: Float[Array, "..."], s_middle: Float[Array, "..."], s_next: Float[Array, "..."]
) -> Float[Array, "..."]:
    """The correlation of a Brownian path's increments from s to s_middle and from s to s_next.

    Run backwards, dz = 2 (z - D)/s ds + sqrt(2 s) dW adds noise of variance s_next² - s_next⁴/s²
    over a step: z/s² moves by a Brownian motion in the time 1/s². So the correlation is
    sqrt((1/s_middle² - 1/s²)/(1/s_next² - 1/s²)).

    >>> round(float(shared_part(*jnp.array([2.0, 1.5, 1.0]))), 4)
    0.5092
    """
    return jnp.sqrt(((s / s_middle) ** 2 - 1) / ((s / s_next) ** 2 - 1))


@solvers.register("dpmpp_sde")
@pytree
class DPMppSDE(OneStep):
    """Ancestral steps to s_m = s^(1-r) s_next^r and, with the estimate from there, to s_next.

    z_m = D + down_m/s (z - D) + up_m n_m, then with D' = (1 - 1/(2r)) D + 1/(2r) D_m
    z_next = D' + down/s (z - D') + up n. Both kinds of noise belong to one Brownian path:
    n = rho n_m + sqrt(1 - rho²) n'. Without their correlation rho the variance of what it
    returns would be right to first order only.

    Attributes:
        eta: 0 is deterministic, 1 is the reverse process with all its noise.
        s_noise: standard deviation of the noise relative to the exact one.
        r: where in the step, in log s, the second evaluation is made.

    Source: Lu et al. 2022 (DPM-Solver++), algorithm 1 and eq. 18; k-diffusion (Crowson 2022),
    `dpmpp_sde`, for the two together.
    """

    formula: ClassVar[str] = (
        "y_s = D′ + down/q_t (y_t − D′) + up z, D′ = (1 − 1/(2r)) D + D_m/(2r), q_m = q_t^(1 − r) "
        "q_s^r, y = x/α, q = σ/α"
    )

    eta: Scalar = 1.0
    s_noise: Scalar = 1.0
    r: Scalar = 0.5

    order = 2
    needs_signal = True

    @property
    def stochastic(self) -> bool:
        """Whether noise is put back."""
        return adds_noise(self.eta, self.s_noise)

    def __post_init__(self) -> None:
        within(self, 0, 1, "r")
        within(self, 0, float("inf"), "eta", "s_noise")
        positive(self, "r")

    def evaluations(self, steps: int) -> int:
        return 2 * steps - 1

    def step(
        self, state: State, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> State:
        s, s_next = here.level.noise_to_signal, there.level.noise_to_signal
        z, x0 = state.x / here.level.alpha, denoise(state.x, here.level)

        def onwards() -> tuple[Array, Array]:
            s_middle = s ** (1 - self.r) * s_next**self.r
            down, up = down_and_up(s, s_middle, self.eta)
            z_middle = towards(x0, z, down / s) + up * self.s_noise * noise(0)
            x0_middle = denoised_at(denoise, z_middle, s_middle)
            estimate = x0 + (x0_middle - x0) / (2 * self.r)
            down, up = down_and_up(s, s_next, self.eta)
            rho = shared_part(s, s_middle, s_next)
            fresh = rho * noise(0) + jnp.sqrt((1 - rho) * (1 + rho)) * noise(1)
            return towards(estimate, z, down / s) + up * self.s_noise * fresh, x0_middle

        z, x0 = unless_clean(there, onwards, (x0, x0))
        return State(there.level.alpha * z, x0)
