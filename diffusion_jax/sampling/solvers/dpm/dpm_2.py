"""The midpoint method between noise levels, with churn."""

from typing import ClassVar

from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import Denoise, Noise, solvers, unless_clean
from diffusion_jax.sampling.solvers.churn import Churned, ChurnState
from diffusion_jax.sampling.solvers.rescaled import denoised_at, midpoint
from diffusion_jax.struct import pytree


@solvers.register("dpm_2")
@pytree
class DPM2(Churned):
    """z_next = z_hat + (s_next - s_hat) (z_m - D_m)/s_m at s_m = sqrt(s_hat s_next).

    Adds noise as EDM does, takes Euler's step to the middle in log s, and steps on with the slope
    found there. The last step returns the denoised estimate.

    Attributes:
        churn: S_churn, the amount of noise added over all steps.
        s_tmin: S_tmin, least s = sigma/alpha at which noise is added.
        s_tmax: S_tmax, largest.
        s_noise: S_noise, standard deviation of the added noise relative to the exact one.

    Source: Lu et al. 2022 (DPM-Solver), algorithm 1, for the middle; k-diffusion (Crowson 2022),
    `dpm_2`, for the rest.
    """

    formula: ClassVar[str] = (
        "y_s = ŷ + (q_s − q̂) (y_m − D_m)/q_m, q_m = √(q̂ q_s), ŷ = y_t with noise added up to q̂, "
        "y = x/α, q = σ/α"
    )

    order = 2

    def evaluations(self, steps: int) -> int:
        return 2 * steps - 1

    def step(
        self, state: ChurnState, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> ChurnState:
        z_hat, s_hat = self.churned(state, here, noise)
        s_next = there.level.noise_to_signal
        x0 = denoised_at(denoise, z_hat, s_hat)

        z, x0 = unless_clean(there, lambda: midpoint(z_hat, x0, s_hat, s_next, denoise), (x0, x0))
        return ChurnState(there.level.alpha * z, x0, state.steps)
