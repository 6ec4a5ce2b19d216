"""EDM's stochastic sampler."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import one_of, positive, within
from diffusion_jax.process.schedules import Schedule, rate, schedules
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import Denoise, Noise, solvers, unless_clean
from diffusion_jax.sampling.solvers.churn import Churned, ChurnState
from diffusion_jax.sampling.solvers.euler import velocity
from diffusion_jax.struct import Scalar, pytree, static


@solvers.register("edm")
@pytree
class EDMSampler(Churned):
    """Adds noise, then takes a Runge-Kutta step that removes it and more.

    From z_hat at s_hat (see `Churned`), of order 2, in the time t of the clock, with h the step
    and d the slope dx/dt of the probability flow:
    x' = x + part h d, x_next = x + h ((1 - 1/(2 part)) d + 1/(2 part) d').
    With order 1, x_next = x + h d. The last step is of order 1.

    The clock is any schedule: the step is taken in its time and on its scale, whatever process the
    network was trained on. EDM's own, t = s, is the default, and with it the sampler is EDM's, or
    with order 1 k-diffusion's `euler`.

    Attributes:
        churn: S_churn, the amount of noise added over all steps.
        s_tmin: S_tmin, least s at which noise is added.
        s_tmax: S_tmax, largest.
        s_noise: S_noise, standard deviation of the added noise relative to the exact one.
        order: 1 (Euler) or 2.
        part: alpha, where in the step the second evaluation is made: 1 is Heun's method, 2/3
            Ralston's, 1/2 the midpoint's.
        clock: the schedule whose time and scale the steps are taken in.
        last: "denoised" returns the estimate of x_0 in the end; "slope" follows the clock's slope
            down to its time 0, as the authors' code does (the same where alpha and sigma are
            linear in the clock's time; half of the noise is left where sigma is a square root).

    Source: Karras et al. 2022 (EDM), algorithm 2; algorithm 1 for other clocks, algorithm 3 for
    the part.
    """

    formula: ClassVar[str] = (
        "x′ = x̂ + part h d, x_s = x̂ + h ((1 − 1/(2 part)) d + d′/(2 part)), d = dx/dt at x̂ and "
        "d′ at x′, x̂ = x_t with noise added"
    )

    order: int = static(default=2)
    part: Scalar = 1.0
    clock: Schedule = schedules.make("edm")
    last: str = static(default="denoised")

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 1, 2, "order")
        positive(self, "part")
        within(self, 0, 1, "part")
        one_of(self.last, ("denoised", "slope"), "last step of solver 'edm'")

    def evaluations(self, steps: int) -> int:
        return self.order * steps - (self.order - 1)

    def step(
        self, state: ChurnState, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> ChurnState:
        z_hat, s_hat = self.churned(state, here, noise)
        start = self._node(-2 * jnp.log(s_hat))
        x = start.level.alpha * z_hat
        x0 = denoise(x, start.level)
        slope = velocity(x, x0, start)

        def onwards() -> tuple[Array, Array]:
            end = self._node(there.level.log_snr)
            h = end.time - start.time
            if self.order == 1:
                return (x + h * slope) / end.level.alpha, x0
            middle = self._at(start.time + self.part * h)
            x_middle = x + self.part * h * slope
            x0_middle = denoise(x_middle, middle.level)
            weight = 1 / (2 * self.part)
            mean = (1 - weight) * slope + weight * velocity(x_middle, x0_middle, middle)
            return (x + h * mean) / end.level.alpha, x0_middle

        last = x0 if self.last == "denoised" else x - start.time * slope
        z, x0 = unless_clean(there, onwards, (last, x0))
        return ChurnState(there.level.alpha * z, x0, state.steps)

    def _node(self, log_snr: Float[Array, ""]) -> Nodes:
        """Where the clock is at a noise level."""
        return self._at(self.clock.time(log_snr))

    def _at(self, time: Float[Array, ""]) -> Nodes:
        return Nodes(time, self.clock.level(time), rate(self.clock, time))
