"""DEIS."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import one_of, within
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.adams import lagrange, moments, usable
from diffusion_jax.sampling.solvers.base import (
    Denoise,
    Memory,
    Multistep,
    MultistepState,
    Noise,
    predicted_noise,
    solvers,
)
from diffusion_jax.sampling.solvers.corrected import LAST
from diffusion_jax.struct import pytree, static

VARIABLES = ("t", "rho", "log_rho")


@solvers.register("deis")
@pytree
class DEIS(Multistep):
    """x_s = alpha_s/alpha_t x_t + alpha_s ∫ P d(rho), P the polynomial through the last eps.

    rho = sigma/alpha goes from rho_t to rho_s. What P is a polynomial in makes the method: the
    schedule's time ("t", the authors' tAB), rho itself ("rho", their rhoAB, which is Adams-
    Bashforth), or log(rho) ("log_rho", the predictor of UniPC for epsilon).

    The first step has but one value, so that the whole is of second order at most: a higher degree
    has the smaller error until that of the start, which falls with the square of h, is left alone.

    Attributes:
        degree: how many values P goes through, 1 to 4.
        variable: "t", "rho" or "log_rho".
        last: "falling" if the last steps use no more values than there are steps left, or "full".

    Source: Zhang & Chen 2022 (DEIS), eq. 14-15 and section 3.3.

    >>> DEIS(degree=1).order, DEIS(degree=3).order
    (1, 2)
    """

    formula: ClassVar[str] = (
        "x_s = α_s/α_t x_t + α_s ∫ P d(σ/α), P the polynomial through the last ε̂"
    )

    degree: int = static(2)
    variable: str = static("t")
    last: str = static("full")

    stochastic = False
    needs_signal = True

    def __post_init__(self) -> None:
        within(self, 1, 4, "degree")
        one_of(self.variable, VARIABLES, "variable of solver 'deis'")
        one_of(self.last, LAST, "last of solver 'deis'")

    @property
    def kept(self) -> int:
        """Evaluations that it remembers."""
        return self.degree

    @property
    def order(self) -> int:
        """That of the start at most."""
        return min(self.degree, 2)

    def step(
        self, state: MultistepState, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> MultistepState:
        x0 = denoise(state.x, here.level)
        memory = state.memory.push(predicted_noise(state.x, x0, here.level), here)
        count = jnp.minimum(memory.count, state.left if self.last == "falling" else self.degree)
        integral = jnp.tensordot(self._weights(here, there, memory, count), memory.estimates, 1)
        x = there.level.alpha / here.level.alpha * (state.x - here.level.sigma * integral)
        return MultistepState(x, x0, memory, state.left - 1)

    def _weights(
        self, here: Nodes, there: Nodes, memory: Memory, count: Array
    ) -> Float[Array, "kept"]:
        """The integrals of the Lagrange polynomials over exp(-v), v = lambda - lambda_t.

        That is -d(rho)/rho_t.
        """
        log_snr = memory.node.level.log_snr
        h = (there.level.log_snr - here.level.log_snr) / 2
        whole, latest = -jnp.expm1(-h), jnp.arange(self.degree) == 0
        moves = jnp.isfinite(h) & (h > 0)
        h = jnp.where(moves, h, 1)
        r, over_r = self._variable(here, there, memory.node, h)
        weights = lagrange(r, usable(log_snr, count)) @ over_r
        return jnp.where(moves, h * weights, jnp.where(latest, whole, 0))

    def _variable(
        self, here: Nodes, there: Nodes, node: Nodes, h: Float[Array, ""]
    ) -> tuple[Float[Array, "kept"], Float[Array, "kept"]]:
        """Where the values are in the variable r, 0 at t and 1 at s, and ∫ exp(-v) r^k dv/h."""
        if self.variable == "log_rho":
            return (node.level.log_snr - here.level.log_snr) / 2 / h, moments(h, self.degree)
        if self.variable == "rho":
            start, end = here.level.noise_to_signal, there.level.noise_to_signal
            r = (node.level.noise_to_signal - start) / (end - start)
            return r, -jnp.expm1(-h) / h / jnp.arange(1, self.degree + 1)
        r = (node.time - here.time) / (there.time - here.time)
        curve, power = time_in_log_snr(here, there, h), jnp.ones(1, h.dtype)
        whole, over_r = moments(h, 3 * self.degree - 2), []
        for _ in range(self.degree):
            over_r.append(power @ whole[: power.shape[0]])
            shifted = [jnp.pad(curve[i] * power, (i, 3 - i)) for i in range(4)]
            power = jnp.stack(shifted).sum(axis=0)
        return r, jnp.stack(over_r)


def time_in_log_snr(here: Nodes, there: Nodes, h: Float[Array, ""]) -> Float[Array, "4"]:
    """The cubic of r = (time - t)/(s - t) in q = v/h that has its slopes at both ends.

    A solver sees no times between nodes; the cubic is exact up to h^4, which fourth order allows.

    Returns:
        its coefficients, the constant first.
    """

    def speed(node: Nodes) -> Array:
        return node.rate.alpha / node.level.alpha - node.rate.sigma / node.level.sigma

    start, end = (h / (speed(node) * (there.time - here.time)) for node in (here, there))
    return jnp.stack([jnp.zeros_like(h), start, 3 - 2 * start - end, start + end - 2])
