"""Sampling with networks that were trained for few steps."""

from diffusion_jax.process.denoiser import as_denoiser
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import (
    Denoise,
    Noise,
    OneStep,
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
    models, MeanFlow): the step is exact where the network is, however long. A consistency function
    knows the end of the flow alone: from there the step goes back with fresh noise,
    x_s = alpha_s f(x, t) + sigma_s z, as `consistency` does. Any other denoiser gives E[x_0 | x],
    and this is DDIM. So networks of all kinds can be compared, each by its own way.

    Source: Frans et al. 2024 (shortcut models), algorithm 2; Geng et al. 2025 (mean flows),
    algorithm 2; Song et al. 2023 (consistency models), algorithm 1.
    """

    order = 1
    stochastic = False

    def step(
        self, state: State, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> State:
        denoiser = as_denoiser(denoise)
        x0 = denoiser(state.x, here.level, end=there.level)
        eps = predicted_noise(state.x, x0, here.level) if denoiser.denoises else noise(0)
        return State(there.level.mix(x0, eps), x0)
