"""SDE-DPM-Solver and SDE-DPM-Solver++: multistep, with a part of the process's noise put back."""

from typing import ClassVar

from diffusion_jax.errors import UserError, within
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import Noise, adds_noise, solvers
from diffusion_jax.sampling.solvers.dpm.multistep import DPMMultistep
from diffusion_jax.sampling.solvers.exponential import Step, X, between
from diffusion_jax.struct import Scalar, pytree, static


@pytree
class DPMMultistepSDE(DPMMultistep):
    """A multistep DPM-Solver of the process run backwards instead of its probability flow.

    Variances converge at second order at most: no polynomial through earlier estimates knows of
    the noise that is put back during the step.

    Attributes:
        eta: how much of the process's own noise is put back; 0 leaves the deterministic solver.
        s_noise: standard deviation of that noise relative to the exact one.
    """

    eta: Scalar = 1.0
    s_noise: Scalar = 1.0

    _starts_apart: ClassVar[bool] = False

    @property
    def stochastic(self) -> bool:
        """Whether noise is put back."""
        return adds_noise(self.eta, self.s_noise)

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 0, float("inf"), "eta", "s_noise")

    @property
    def order(self) -> int:
        """Of the variance; the mean is exact where the estimate is linear in x."""
        return min(self.degree, 2)

    def _between(self, here: Nodes, there: Nodes) -> Step:
        return between(self.estimate, here.level, there.level, self.eta)

    def _put_noise(self, x: X, here: Nodes, there: Nodes, noise: Noise) -> X:
        return x + self._between(here, there).spread * self.s_noise * noise(0)


@solvers.register("dpmpp_2m_sde")
@pytree
class DPMpp2MSDE(DPMMultistepSDE):
    """SDE-DPM-Solver++(2M): 2M's slope over the step of the stochastic process.

    x_s = sigma_s/sigma_t e^(-eta h) x_t + alpha_s (1 - e^(-(1 + eta) h)) (D + h/(2 h') (D - D'))
    + sigma_s sqrt(1 - e^(-2 eta h)) z in its "midpoint" variant.

    Attributes:
        variant: "midpoint" as above, or "taylor" (k-diffusion, diffusers: heun).
        last: order of the last steps, see `DPMMultistep`.
        eta: how much noise is put back, 1 is that of the process.
        s_noise: standard deviation of the noise relative to the exact one.

    Source: Lu et al. 2022 (DPM-Solver++), eq. 18-20 and algorithm 4; eta is k-diffusion's.
    """

    formula: ClassVar[str] = (
        "x_s = σ_s/σ_t e^(−eta h) x_t + α_s (1 − e^(−(1 + eta) h)) (D + h/(2h′) (D − D′)) + σ_s "
        "√(1 − e^(−2 eta h)) z, h = (λ_s − λ_t)/2"
    )


@solvers.register("dpmpp_3m_sde")
@pytree
class DPMpp3MSDE(DPMMultistepSDE):
    """SDE-DPM-Solver++(3M): m' and m'' of the parabola through the last three estimates of x_0.

    Attributes:
        variant: of the steps of second order.
        last: order of the last steps, see `DPMMultistep`.
        eta: how much noise is put back, 1 is that of the process.
        s_noise: standard deviation of the noise relative to the exact one.
        released: counts m'' half, as k-diffusion's code does.

    Source: as `DPMpp2MSDE`, with one term more of the Taylor polynomial.
    """

    formula: ClassVar[str] = (
        "x_s = σ_s/σ_t e^(−eta h) x_t − α_s (ψ₁(w) D + ψ₂(w) D₁ + ψ₃(w) D₂) + σ_s √(1 − e^(−2 eta "
        "h)) z, w = −(1 + eta) h, D₁, D₂ and ψ as of dpmpp_3m, h = (λ_s − λ_t)/2"
    )

    released: bool = static(False)  # type: ignore[misc]
    degree = 3


@solvers.register("dpm_solver_2m_sde")
@pytree
class DPMSolver2MSDE(DPMMultistepSDE):
    """SDE-DPM-Solver(2M): the estimated noise over the step of the stochastic process.

    x_s = alpha_s/alpha_t x_t - (1 + eta) sigma_s (e^h - 1) (eps + h/(2 h') (eps - eps'))
    + sigma_s sqrt(eta (e^(2 h) - 1)) z in its "midpoint" variant.

    Attributes:
        variant: "midpoint" as above, or "taylor".
        last: order of the last steps, see `DPMMultistep`.
        eta: how much noise is put back, 1 is that of the process.
        s_noise: standard deviation of the noise relative to the exact one.
        degree: 2, or 1 for no extrapolation.

    Source: Lu et al. 2022 (DPM-Solver++), eq. 17 and appendix B.5.
    """

    formula: ClassVar[str] = (
        "x_s = α_s/α_t x_t − (1 + eta) σ_s (e^h − 1) (ε̂ + h/(2h′) (ε̂ − ε̂′)) + σ_s √(eta (e^(2h) "
        "− 1)) z, h = (λ_s − λ_t)/2"
    )

    degree: int = static(2)  # type: ignore[misc]
    estimate = "epsilon"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.degree not in (1, 2):
            raise UserError(
                f"solver 'dpm_solver_2m_sde': degree must be 1 or 2, not {self.degree}."
            )
