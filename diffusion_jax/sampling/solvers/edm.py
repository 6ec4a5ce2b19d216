"""EDM's stochastic sampler."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import ordered, within
from diffusion_jax.process.level import Level
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import Denoise, Noise, State, solvers, unless_clean
from diffusion_jax.struct import Scalar, pytree


@pytree
class ChurnState(State):
    """A `State` that knows how many steps there are.

    Attributes:
        steps: number of steps of the grid, a scalar.
    """

    steps: Array


@solvers.register("edm")
@pytree
class EDMSampler:
    """Adds noise, then takes a Heun step in s = sigma/alpha that removes it and more.

    s_hat = s (1 + gamma), gamma = min(churn/N, sqrt(2) - 1) where s_tmin <= s <= s_tmax, else 0;
    from there Heun's method on dz/ds = (z - D)/s for z = x/alpha. Any process is one of these,
    rescaled, so the sampler works with every schedule, from any level with some signal (x is
    divided by alpha). Deterministic at churn = 0, where it draws
    noise that it multiplies by zero.

    Attributes:
        churn: S_churn, the amount of noise added over all steps.
        s_tmin: S_tmin, least s at which noise is added.
        s_tmax: S_tmax, largest.
        s_noise: S_noise, standard deviation of the added noise relative to the exact one.

    Source: Karras et al. 2022 (EDM), algorithm 2.
    """

    churn: Scalar = 0.0
    s_tmin: Scalar = 0.0
    s_tmax: Scalar = float("inf")
    s_noise: Scalar = 1.0

    order = 2
    stochastic = False
    needs_signal = True
    adaptive = False

    def __post_init__(self) -> None:
        within(self, 0, float("inf"), "churn", "s_tmin", "s_noise")
        ordered(self, "s_tmin", "s_tmax")

    def evaluations(self, steps: int) -> int:
        return 2 * steps - 1

    def init(self, x: Float[Array, "batch ..."], nodes: Nodes) -> ChurnState:
        return ChurnState(x, jnp.zeros_like(x), nodes.steps)

    def step(
        self, state: ChurnState, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> ChurnState:
        s, s_next = here.level.noise_to_signal, there.level.noise_to_signal
        active = (self.s_tmin <= s) & (s <= self.s_tmax)
        gamma = jnp.where(active, jnp.minimum(self.churn / state.steps, jnp.sqrt(2.0) - 1), 0)
        s_hat = s * (1 + gamma)
        # sqrt(s_hat² - s²), but exactly 0 without churn, where fused arithmetic leaves a remainder.
        added = s * jnp.sqrt(gamma * (2 + gamma))
        z_hat = state.x / here.level.alpha + added * self.s_noise * noise(0)

        x0 = denoise(here.level.alpha * z_hat, Level(here.level.alpha, here.level.alpha * s_hat))
        slope = (z_hat - x0) / s_hat
        z = z_hat + (s_next - s_hat) * slope

        def correct() -> tuple[Array, Array]:
            x0 = denoise(there.level.alpha * z, there.level)
            slope_next = (z - x0) / s_next
            return z_hat + (s_next - s_hat) * (slope + slope_next) / 2, x0

        z, x0 = unless_clean(there, correct, (z, x0))
        return ChurnState(there.level.alpha * z, x0, state.steps)
