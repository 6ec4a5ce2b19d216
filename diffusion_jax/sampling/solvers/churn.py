"""EDM's churn: noise that is added at the start of a step, for the step to remove."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import ordered, within
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import Noise, Solver, State, adds_noise
from diffusion_jax.struct import Scalar, pytree


@pytree
class ChurnState(State):
    """A `State` that knows how many steps there are.

    Attributes:
        steps: number of steps of the grid, a scalar.
    """

    steps: Array


@pytree
class Churned(Solver[ChurnState]):
    """What all solvers with churn share, in z = x/alpha and s = sigma/alpha.

    s_hat = s (1 + gamma), gamma = min(churn/N, sqrt(2) - 1) where s_tmin <= s <= s_tmax, else 0;
    z_hat = z + sqrt(s_hat² - s²) s_noise n. Deterministic at churn = 0, where noise is drawn that
    is multiplied by zero.

    Attributes:
        churn: S_churn, the amount of noise added over all steps.
        s_tmin: S_tmin, least s at which noise is added.
        s_tmax: S_tmax, largest.
        s_noise: S_noise, standard deviation of the added noise relative to the exact one.

    Source: Karras et al. 2022 (EDM), algorithm 2, lines 4 to 6.

    >>> from diffusion_jax.sampling.solvers.edm import EDMSampler
    >>> EDMSampler(churn=20.0).churn
    20.0
    """

    churn: Scalar = 0.0
    s_tmin: Scalar = 0.0
    s_tmax: Scalar = float("inf")
    s_noise: Scalar = 1.0

    needs_signal = True

    @property
    def stochastic(self) -> bool:
        """Whether noise is put back."""
        return adds_noise(self.churn, self.s_noise)

    def __post_init__(self) -> None:
        within(self, 0, float("inf"), "churn", "s_tmin", "s_noise")
        ordered(self, "s_tmin", "s_tmax")

    def init(self, x: Float[Array, "batch ..."], nodes: Nodes) -> ChurnState:
        """The state before the first step."""
        return ChurnState(x, jnp.zeros_like(x), nodes.steps)

    def churned(
        self, state: ChurnState, here: Nodes, noise: Noise
    ) -> tuple[Float[Array, "batch ..."], Float[Array, ""]]:
        """(z_hat, s_hat): the state with noise added, and its noise level."""
        s = here.level.noise_to_signal
        active = (self.s_tmin <= s) & (s <= self.s_tmax)
        gamma = jnp.where(active, jnp.minimum(self.churn / state.steps, jnp.sqrt(2.0) - 1), 0)
        # sqrt(s_hat² - s²), but exactly 0 without churn, where fused arithmetic leaves a remainder.
        added = s * jnp.sqrt(gamma * (2 + gamma))
        return state.x / here.level.alpha + added * self.s_noise * noise(0), s * (1 + gamma)
