"""Multistep sampling with a consistency function."""

from typing import ClassVar

import jax.numpy as jnp

from diffusion_jax.errors import within
from diffusion_jax.process.denoiser import as_denoiser
from diffusion_jax.process.level import Level
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import Denoise, Noise, OneStep, State, solvers
from diffusion_jax.struct import Scalar, pytree


@solvers.register("consistency")
@pytree
class Consistency(OneStep):
    """Goes straight to the data, then back to the next level with all noise fresh.

    x_s = alpha_s f(x_t) + sqrt(sigma_s² - alpha_s² sigma_min²) z.

    Exact with any number of steps, one included, where f is a consistency function: it takes x
    along the exact flow to the level sigma/alpha = sigma_min. With a denoiser, which returns a
    mean in place of a sample, it loses variance and converges to nothing: order 0. A network that
    knows where a step ends (`jump`) is asked for the end of the flow. The same step
    is LCM's, on `latent_consistency`; sCM's, on the TrigFlow path; and flow matching's
    "stochastic sampling".

    Attributes:
        sigma_min: the sigma/alpha at which the consistency function ends; 0 is clean data.

    Source: Song et al. 2023 (consistency models), algorithm 1; Luo et al. 2023 (LCM), algorithm 3,
    for any alpha.

    >>> from diffusion_jax.process.level import Level
    >>> level = Level(jnp.array([1.0, 1.0]), jnp.array([5.0, 0.5]))
    >>> nodes, x = Nodes(level.sigma, level, level), jnp.full((1, 2), 3.0)
    >>> solver = Consistency()
    >>> to_the_mean = lambda x, level, condition: 0 * x + 0.25
    >>> zero_noise = lambda k: 0 * x
    >>> solver.step(solver.init(x, nodes), nodes[0], nodes[1], to_the_mean, zero_noise).x.tolist()
    [[0.25, 0.25]]
    """

    formula: ClassVar[str] = "x_s = α_s f(x_t) + √(σ_s² − α_s² sigma_min²) z"

    sigma_min: Scalar = 0.0

    order = 0
    stochastic = True
    takes_consistency = True

    def __post_init__(self) -> None:
        within(self, 0, float("inf"), "sigma_min")

    def step(
        self, state: State, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> State:
        clean = Level(jnp.ones_like(here.level.alpha), jnp.zeros_like(here.level.sigma))
        x0 = as_denoiser(denoise)(state.x, here.level, end=clean)
        missing = there.level.sigma**2 - (there.level.alpha * self.sigma_min) ** 2
        fresh = jnp.sqrt(jnp.maximum(missing, 0))
        return State(there.level.alpha * x0 + fresh * noise(0), x0)
