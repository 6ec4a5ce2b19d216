"""Gamma-sampling: a step of the flow beyond the next level, and noise back up to it."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import within
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import (
    Denoise,
    Noise,
    OneStep,
    State,
    adds_noise,
    predicted_noise,
    solvers,
)
from diffusion_jax.struct import Scalar, pytree


@solvers.register("gamma_sampling")
@pytree
class GammaSampling(OneStep):
    """Between DDIM and consistency sampling: a part gamma of the noise put back is fresh.

    The flow is followed to sigma/alpha = r_low < r_s, and noise is added up to r_s:
    x_s = alpha_s (x_0 + r_low eps + sqrt(r_s² - r_low²) z), r = sigma/alpha.

    r_low = sqrt(1 - gamma²) r_s (CTM), so that gamma is the fresh part of the noise; or, given a
    clock, r_low is where that schedule is at (1 - gamma) times the time of the next node (TCD).
    gamma = 0 is DDIM, gamma = 1 the `consistency` sampler. Steps do not get shorter as there are
    more of them, so that with a denoiser it converges to nothing: order 0. It is made for networks
    trained to follow the flow over any distance.

    Attributes:
        gamma: from 0, deterministic, to 1, all noise fresh.
        clock: in whose time gamma is a part; by default it is a part of the noise.

    Source: Kim et al. 2024 (CTM), algorithm 3, with the flow's step as in DDIM; Zheng et al. 2024
    (trajectory consistency distillation), strategic stochastic sampling, for the clock.

    >>> from diffusion_jax.process.level import Level
    >>> level = Level(jnp.array([1.0, 1.0]), jnp.array([5.0, 1.0]))
    >>> nodes, x = Nodes(level.sigma, level, level), jnp.array([[5.0]])
    >>> solver, to_zero = GammaSampling(gamma=0.6), lambda x, level: 0 * x
    >>> step = solver.step(solver.init(x, nodes), nodes[0], nodes[1], to_zero, lambda k: 1 + 0 * x)
    >>> round(float(step.x[0, 0]), 4)  # 0.8 of the old noise, 0.6 of the new
    1.4
    """

    formula: ClassVar[str] = (
        "x_s = α_s (D + q_low ε̂ + √(q_s² − q_low²) z), q_low = √(1 − gamma²) q_s, q = σ/α"
    )

    gamma: Scalar = 0.5
    clock: Schedule | None = None

    order = 0

    @property
    def stochastic(self) -> bool:
        """Whether noise is put back."""
        return adds_noise(self.gamma)

    def __post_init__(self) -> None:
        within(self, 0, 1, "gamma")

    def _kept(self, there: Nodes) -> Float[Array, ""]:
        """r_low/r_s, the part of the noise that stays; 1 on clean data."""
        if self.clock is None:
            return jnp.sqrt(1 - jnp.asarray(self.gamma) ** 2)
        low = self.clock.level((1 - self.gamma) * there.time).noise_to_signal
        ratio = there.level.noise_to_signal
        return jnp.where(ratio > 0, jnp.clip(low / ratio, 0, 1), 1)

    def step(
        self, state: State, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> State:
        x0, kept = denoise(state.x, here.level), self._kept(there)
        eps = kept * predicted_noise(state.x, x0, here.level) + jnp.sqrt(1 - kept**2) * noise(0)
        return State(there.level.alpha * x0 + there.level.sigma * eps, x0)
