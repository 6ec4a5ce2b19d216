"""SA-Solver."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array

from diffusion_jax.errors import one_of, ordered, within
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.adams import ESTIMATES
from diffusion_jax.sampling.solvers.base import Noise, solvers
from diffusion_jax.sampling.solvers.corrected import LAST, Corrected
from diffusion_jax.struct import Scalar, pytree, static


@solvers.register("sa_solver")
@pytree
class SASolver(Corrected):
    """Stochastic Adams: predicts through `predictor` values, corrects through `corrector`.

    x_s = sigma_s/sigma_t exp(-tau² h) x_t + (1 + tau²) alpha_s ∫ exp(-(1 + tau²) v) P(v) dv
    + sigma_s sqrt(1 - exp(-2 tau² h)) z, with P the polynomial in lambda through known values of
    x_0, and z the same for both. For "epsilon" see `adams`; its z is multiplied by
    sigma_s tau sqrt(exp(2h) - 1). The step onto clean data adds no noise.

    Where tau is not 0 variances converge at second order at most.

    Attributes:
        predictor: values that the predictor uses, 1 to 4.
        corrector: values that the corrector uses, the one at the new node included; 0 for none.
        estimate: what is extrapolated, "x0" or "epsilon".
        rule: how a line through two values of x_0 is integrated: "h" as the authors' code has it,
            for few steps, "exact", or "expm1", see `adams`.
        last: "falling" if the last steps use no more values than there are steps left, or "full".
        tau: how much noise is replaced: 0 is the probability-flow ODE, 1 the reverse SDE.
        s_tmin: least sigma/alpha at which noise is replaced.
        s_tmax: largest, likewise.

    Source: Xue et al. 2023 (SA-Solver), eq. 8 and 14-17, algorithm 1.

    >>> SASolver().order, SASolver(predictor=3, corrector=4, tau=0.0).order
    (2, 3)
    """

    formula: ClassVar[str] = (
        "x_s = σ_s/σ_t e^(−τ² h) x_t + (1 + τ²) α_s ∫₀ʰ e^((1 + τ²) (u − h)) P(u) du + σ_s √(1 − "
        "e^(−2 τ² h)) z, P the polynomial through the last D, h = (λ_s − λ_t)/2"
    )

    predictor: int = static(2)
    corrector: int = static(2)
    estimate: str = static("x0")
    rule: str = static("h")
    last: str = static("falling")
    tau: Scalar = 1.0
    s_tmin: Scalar = 0.0
    s_tmax: Scalar = float("inf")

    def __post_init__(self) -> None:
        within(self, 1, 4, "predictor")
        within(self, 0, 5, "corrector")
        within(self, 0, float("inf"), "tau", "s_tmin")
        ordered(self, "s_tmin", "s_tmax")
        one_of(self.estimate, ESTIMATES, "estimate of solver 'sa_solver'")
        one_of(self.rule, ("h", "expm1", "exact"), "rule of solver 'sa_solver'")
        one_of(self.last, LAST, "last of solver 'sa_solver'")

    @property
    def stochastic(self) -> bool:
        """Whether it draws noise; settings that are arrays count as doing so."""
        return not isinstance(self.tau, (int, float)) or self.tau > 0

    @property
    def order(self) -> int:
        """That of the better of both and of the start; 2 at most where there is noise."""
        most = 3 if self.corrector > 1 and not self.stochastic else 2
        return min(max(self.predictor, self.corrector), most)

    @property
    def predictor_values(self) -> int:
        return self.predictor

    @property
    def corrector_values(self) -> int:
        return self.corrector

    def replaced(self, here: Nodes, there: Nodes) -> Array:
        s = here.level.noise_to_signal
        active = (self.s_tmin <= s) & (s <= self.s_tmax) & (there.level.sigma > 0)
        return jnp.where(active, self.tau, 0.0)

    def fresh(self, here: Nodes, there: Nodes, noise: Noise) -> Array:
        h = (there.level.log_snr - here.level.log_snr) / 2
        tau = self.replaced(here, there)
        # Where h is infinite and tau is 0, their product is nothing.
        h = jnp.where(tau > 0, h, 0)
        if self.estimate == "x0":
            return there.level.sigma * jnp.sqrt(-jnp.expm1(-2 * tau**2 * h)) * noise(0)
        return there.level.sigma * tau * jnp.sqrt(jnp.expm1(2 * h)) * noise(0)
