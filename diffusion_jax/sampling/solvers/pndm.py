"""PNDM: pseudo numerical methods."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from diffusion_jax.errors import one_of
from diffusion_jax.process.level import Level
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import (
    Denoise,
    Memory,
    MultistepState,
    Noise,
    Solver,
    predicted_noise,
    solvers,
    unless_clean,
)
from diffusion_jax.sampling.solvers.ipndm import adams_bashforth
from diffusion_jax.struct import pytree, static

STARTS = ("improved_euler", "runge_kutta")
HALVES = 6  # steps that the Runge-Kutta start takes for halves


@pytree
class PNDMState(MultistepState):
    """A `MultistepState` in the middle of a Runge-Kutta step, or of none.

    Attributes:
        index: how many steps were taken, an integer scalar.
        start: the sample where the Runge-Kutta step starts, (batch, ...).
        slopes: eps_1 + 2 eps_2 + 2 eps_3, same shape.
        last: eps_3, same shape.
    """

    index: Int[Array, ""]
    start: Float[Array, "batch ..."]
    slopes: Float[Array, "batch ..."]
    last: Float[Array, "batch ..."]


def transfer(
    x: Float[Array, "batch ..."], eps: Float[Array, "batch ..."], here: Level, there: Level
) -> Float[Array, "batch ..."]:
    """DDIM's step with a given eps, PNDM's transfer part.

    Source: Liu et al. 2022 (PNDM), eq. 11.
    """
    return there.alpha / here.alpha * (x - here.sigma * eps) + there.sigma * eps


@solvers.register("pndm")
@pytree
class PNDM(Solver[PNDMState]):
    """DDIM's step with an eps that a classical method makes of several; Adams-Bashforth of four.

    It starts either with a step of the improved Euler method, eps' = (eps_1 + eps_2)/2, and then
    Adams-Bashforth of two and three; or with three of Runge-Kutta's of fourth order, for each of
    which two steps of the grid are the halves.

    Attributes:
        start: "improved_euler" (released as skip_prk_steps), or "runge_kutta".

    Source: Liu et al. 2022 (PNDM), eq. 11-13, algorithm 2 and theorem 3.1 (second order).

    >>> PNDM().evaluations(10), PNDM(start="runge_kutta").evaluations(13)
    (11, 19)
    """

    formula: ClassVar[str] = (
        "x_s = α_s (x_t − σ_t ε′)/α_t + σ_s ε′, ε′ = (55 ε₀ − 59 ε₁ + 37 ε₂ − 9 ε₃)/24 once four "
        "ε̂ are known, of Runge-Kutta before"
    )

    start: str = static("improved_euler")

    kept = 4
    order = 2
    stochastic = False
    needs_signal = True

    def __post_init__(self) -> None:
        one_of(self.start, STARTS, "start of solver 'pndm'")

    def evaluations(self, steps: int) -> int:
        if self.start == "improved_euler":
            return steps + (steps > 1)
        if steps > HALVES:
            return steps + HALVES
        # Onto clean data a first half is DDIM's step, and a second takes what the first has found.
        return 2 * steps - 1

    def init(self, x: Float[Array, "batch ..."], nodes: Nodes) -> PNDMState:
        nothing = jnp.zeros_like(x)
        memory = Memory.empty(x, nodes, self.kept)
        zero = jnp.zeros((), int)
        return PNDMState(x, nothing, memory, nodes.steps, zero, x, nothing, nothing)

    def step(
        self, state: PNDMState, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> PNDMState:
        def slope(x: Array, node: Nodes) -> tuple[Array, Array]:
            x0 = denoise(x, node.level)
            return predicted_noise(x, x0, node.level), x0

        def moved(x: Array, x0: Array, memory: Memory, **changed: Array) -> PNDMState:
            kept = {"start": state.start, "slopes": state.slopes, "last": state.last} | changed
            return PNDMState(x, x0, memory, state.left - 1, state.index + 1, **kept)

        def adams() -> PNDMState:
            eps, x0 = slope(state.x, here)
            memory = state.memory.push(eps, here)
            mean = jnp.tensordot(adams_bashforth(self.kept, memory.count), memory.estimates, 1)
            return moved(transfer(state.x, mean, here.level, there.level), x0, memory)

        def improved_euler() -> PNDMState:
            eps, x0 = slope(state.x, here)
            euler = transfer(state.x, eps, here.level, there.level)
            mean = unless_clean(there, lambda: (eps + slope(euler, there)[0]) / 2, eps)
            x = transfer(state.x, mean, here.level, there.level)
            return moved(x, x0, state.memory.push(eps, here))

        def first_half() -> PNDMState:
            eps, x0 = slope(state.x, here)

            def twice() -> tuple[Array, Array, Array, Array]:
                second, _ = slope(transfer(state.x, eps, here.level, there.level), there)
                middle = transfer(state.x, second, here.level, there.level)
                third, x0 = slope(middle, there)
                return middle, x0, eps + 2 * second + 2 * third, third

            euler = transfer(state.x, eps, here.level, there.level)
            x, x0, slopes, third = unless_clean(there, twice, (euler, x0, eps, eps))
            memory = state.memory.push(eps, here)
            return moved(x, x0, memory, start=state.x, slopes=slopes, last=third)

        def second_half() -> PNDMState:
            began = jax.tree.map(lambda values: values[0], state.memory.node)

            def fourth() -> Array:
                end = transfer(state.start, state.last, began.level, there.level)
                mean = (state.slopes + slope(end, there)[0]) / 6
                return transfer(state.start, mean, began.level, there.level)

            clean = there.level.alpha * state.denoised
            return moved(unless_clean(there, fourth, clean), state.denoised, state.memory)

        if self.start == "improved_euler":
            return jax.lax.cond(state.index == 0, improved_euler, adams)
        branch = jnp.where(state.index < HALVES, state.index % 2, 2)
        return jax.lax.switch(branch, (first_half, second_half, adams))
