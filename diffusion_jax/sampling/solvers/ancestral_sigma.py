"""Ancestral samplers in sigma/alpha: denoise too far along the flow, and add noise back.

The flow from s to `down` and the noise `up` that leads from there to s_next both keep the exact
distribution, so that a sampler is as good as its step along the flow.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import within
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import (
    Denoise,
    Noise,
    OneStep,
    State,
    adds_noise,
    solvers,
)
from diffusion_jax.sampling.solvers.rescaled import denoised_at, down_and_up, midpoint, towards
from diffusion_jax.struct import Scalar, pytree

X = Float[Array, "batch ..."]


@pytree
class InSigma(OneStep):
    """What the samplers here share; `flow` is what they differ in.

    Attributes:
        eta: 0 is deterministic, 1 is ancestral sampling; more adds more noise, up to all of it.
        s_noise: standard deviation of the noise relative to the exact one.

    >>> EulerAncestral().eta
    1.0
    """

    eta: Scalar = 1.0
    s_noise: Scalar = 1.0

    needs_signal = True

    @property
    def stochastic(self) -> bool:
        """Whether noise is put back."""
        return adds_noise(self.eta, self.s_noise)

    def __post_init__(self) -> None:
        within(self, 0, float("inf"), "eta", "s_noise")

    def split(self, s: Array, s_next: Array) -> tuple[Array, Array]:
        """How far down the flow goes, and the standard deviation of the noise up."""
        return down_and_up(s, s_next, self.eta)

    def flow(self, z: X, x0: X, s: Array, down: Array, denoise: Denoise) -> tuple[X, X]:
        """z at `down`, and the latest estimate of x_0, given those at s."""
        raise NotImplementedError

    def step(
        self, state: State, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> State:
        """The flow down, then noise up; the last step returns the denoised estimate."""
        s, s_next = here.level.noise_to_signal, there.level.noise_to_signal
        z, x0 = state.x / here.level.alpha, denoise(state.x, here.level)
        down, up = self.split(s, s_next)
        # Down to sigma = 0, where eta is large, the flow ends at the estimate, as on clean data.
        flows = (there.level.sigma > 0) & (down > 0)
        z, x0 = jax.lax.cond(flows, lambda: self.flow(z, x0, s, down, denoise), lambda: (x0, x0))
        return State(there.level.alpha * (z + up * self.s_noise * noise(0)), x0)


class TwoEvaluations(InSigma):
    """A sampler that evaluates once more, at the middle of its flow in log s."""

    order = 2

    def evaluations(self, steps: int) -> int:
        """Two a step, but the last."""
        return 2 * steps - 1


@solvers.register("euler_ancestral")
@pytree
class EulerAncestral(InSigma):
    """z_next = x_0 + down/s (z - x_0) + up n: Euler's step to `down`, then noise.

    up = eta s_next sqrt(1 - (s_next/s)²), down² + up² = s_next². It is DDIM with noise, whose
    `eta` is the same.

    Attributes:
        eta: 0 is deterministic, 1 is ancestral sampling; more adds more noise, up to all of it.
        s_noise: standard deviation of the noise relative to the exact one.

    Source: Song et al. 2020 (DDIM), eq. 12 and 16; k-diffusion (Crowson 2022), `euler_ancestral`.
    """

    formula: ClassVar[str] = (
        "y_s = D + down/q_t (y_t − D) + up z, up² = eta² q_s² (1 − (q_s/q_t)²), down² = q_s² − "
        "up², y = x/α, q = σ/α"
    )

    order = 1

    def flow(self, z: X, x0: X, s: Array, down: Array, denoise: Denoise) -> tuple[X, X]:
        return towards(x0, z, down / s), x0


@solvers.register("dpm_2_ancestral")
@pytree
class DPM2Ancestral(TwoEvaluations):
    """z_next = z + (down - s) (z_m - D_m)/s_m + up n at s_m = sqrt(s down): midpoint, then noise.

    Attributes:
        eta: 0 is deterministic, 1 is ancestral sampling; more adds more noise, up to all of it.
        s_noise: standard deviation of the noise relative to the exact one.

    Source: k-diffusion (Crowson 2022), `dpm_2_ancestral`.
    """

    formula: ClassVar[str] = (
        "y_s = y_t + (down − q_t) (y_m − D_m)/q_m + up z, q_m = √(q_t down), up² = eta² q_s² (1 − "
        "(q_s/q_t)²), down² = q_s² − up², y = x/α, q = σ/α"
    )

    def flow(self, z: X, x0: X, s: Array, down: Array, denoise: Denoise) -> tuple[X, X]:
        return midpoint(z, x0, s, down, denoise)


@solvers.register("dpmpp_2s_ancestral")
@pytree
class DPMpp2SAncestral(TwoEvaluations):
    """z_next = D_m + down/s (z - D_m) + up n, with D_m at s_m = sqrt(s down): 2S, then noise.

    Attributes:
        eta: 0 is deterministic, 1 is ancestral sampling; more adds more noise, up to all of it.
        s_noise: standard deviation of the noise relative to the exact one.

    Source: Lu et al. 2022 (DPM-Solver++), algorithm 1 with r = 1/2; k-diffusion (Crowson 2022),
    `dpmpp_2s_ancestral`, for the noise.
    """

    formula: ClassVar[str] = (
        "y_s = D_m + down/q_t (y_t − D_m) + up z, q_m = √(q_t down), up² = eta² q_s² (1 − "
        "(q_s/q_t)²), down² = q_s² − up², y = x/α, q = σ/α"
    )

    def flow(self, z: X, x0: X, s: Array, down: Array, denoise: Denoise) -> tuple[X, X]:
        middle = jnp.sqrt(s * down)
        x0 = denoised_at(denoise, towards(x0, z, middle / s), middle)
        return towards(x0, z, down / s), x0
