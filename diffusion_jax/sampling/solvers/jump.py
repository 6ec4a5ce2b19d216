"""Sampling with networks that were trained for few steps."""

from typing import ClassVar

from diffusion_jax.process.denoiser import Denoiser, as_denoiser
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import (
    Denoise,
    Noise,
    OneStep,
    Solver,
    State,
    predicted_noise,
    solvers,
)
from diffusion_jax.struct import pytree


@solvers.register("jump")
@pytree
class Jump(OneStep):
    """Goes where the network says the flow leads: x_s = alpha_s J + sigma_s (x - alpha J)/sigma.

    J = J(x, t, s) is the x_0 of a whole step, of a network that was trained to know it (shortcut
    models, MeanFlow): the step is exact where the network is, however long. Any other denoiser
    gives E[x_0 | x], and this is DDIM: no noise is drawn. A consistency function knows the end of
    the flow alone, and `for_denoiser` gives it the steps of `JumpWithNoise`, which draw noise. So
    networks of all kinds can be compared, each sampled as it was made to be.

    Source: Frans et al. 2024 (shortcut models), algorithm 2; Geng et al. 2025 (mean flows),
    algorithm 2.
    """

    formula: ClassVar[str] = "x_s = α_s J + σ_s (x_t − α_t J)/σ_t, J = J(x_t, t, s)"

    order = 1
    stochastic = False
    takes_consistency = True

    def step(
        self, state: State, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> State:
        x0 = as_denoiser(denoise)(state.x, here.level, end=there.level)
        return State(there.level.mix(x0, predicted_noise(state.x, x0, here.level)), x0)

    def for_denoiser(self, denoiser: Denoiser) -> Solver:
        return self if denoiser.denoises else JumpWithNoise()


@pytree
class JumpWithNoise(OneStep):
    """To the data by a consistency function, then back with fresh noise.

    x_s = alpha_s f(x, t) + sigma_s z.

    Source: Song et al. 2023 (consistency models), algorithm 1.
    """

    order = 0
    stochastic = True
    takes_consistency = True

    def step(
        self, state: State, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> State:
        x0 = as_denoiser(denoise)(state.x, here.level, end=there.level)
        return State(there.level.mix(x0, noise(0)), x0)
