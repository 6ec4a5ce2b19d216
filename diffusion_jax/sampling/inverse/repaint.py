"""RePaint: inpainting by resampling."""

import dataclasses
from typing import ClassVar, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, within
from diffusion_jax.process.denoiser import Denoiser
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.inverse.base import Observed, posteriors
from diffusion_jax.sampling.inverse.operators import Mask
from diffusion_jax.sampling.solvers import Denoise, Noise, Solver, State
from diffusion_jax.sampling.solvers.base import OneStep, renoised
from diffusion_jax.struct import pytree, static


def jumps(steps: int, length: int, resample: int) -> list[int]:
    """The nodes that `steps` steps with jumps back visit, by their number on the plain grid.

    Wherever a multiple of `length` steps is left before the last noisy node, the steps there are
    taken `resample` times.

    >>> jumps(4, length=1, resample=2)
    [0, 1, 0, 1, 2, 1, 2, 3, 2, 3, 4]
    """
    left = {steps - 1 - k: resample - 1 for k in range(0, steps - length, length)}
    at, visited = 0, [0]
    while at < steps:
        at += 1
        visited.append(at)
        if left.get(at, 0) > 0:
            left[at] -= 1
            visited += range(at - 1, at - length - 1, -1)
            at -= length
    return visited


@pytree
class Repainting(OneStep):
    """A solver's steps, with what is known put in place of what it made of it.

    A step back to a noisier node adds the noise that lies between.

    Attributes:
        inner: takes the steps; without a memory, which jumps would make false.
        keep: 1 where values are known.
        known: the values.
    """

    inner: Solver
    keep: Float[Array, "..."]
    known: Float[Array, "batch ..."]

    order = 1
    stochastic = True

    @property
    def needs_signal(self) -> bool:
        return self.inner.needs_signal

    goes_back = True

    @property
    def needs_variance(self) -> bool:
        return self.inner.needs_variance

    def for_denoiser(self, denoiser: Denoiser) -> Solver:
        return dataclasses.replace(self, inner=self.inner.for_denoiser(denoiser))

    def evaluations(self, steps: int) -> int:
        return self.inner.evaluations(steps)

    def init(self, x: Float[Array, "batch ..."], nodes: Nodes) -> State:
        return self.inner.init(x, nodes)

    def step(
        self, state: State, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> State:
        fresh = noise(0)

        def towards_data() -> State:
            moved = self.inner.step(state, here, there, denoise, lambda k: noise(k + 1))
            known = there.level.mix(self.known, fresh)
            return dataclasses.replace(moved, x=jnp.where(self.keep > 0, known, moved.x))

        def back() -> State:
            return dataclasses.replace(state, x=renoised(state.x, here.level, there.level, fresh))

        cleaner = there.level.noise_to_signal < here.level.noise_to_signal
        return jax.lax.cond(cleaner, towards_data, back)


@posteriors.register("repaint")
@pytree
class RePaint(Observed):
    """The known part of x_s is drawn from q(x_s | y), the rest stepped to; again after jumps back.

    The known part does not listen to the rest, so that they match only as far as jumps back and
    repeated steps let them: it approximates, the better the more are made.

    Attributes:
        operator: a `Mask`.
        observation: the known values, as if they had no noise.
        length: how many steps a jump goes back.
        resample: how often each step is made.

    Source: Lugmayr et al. 2022 (RePaint), algorithm 1 and section 4.2.
    """

    formula: ClassVar[str] = (
        "x_s = m (α_s y + σ_s z) + (1 − m) x_s of the solver, m = 1 where y is known, with jumps "
        "back to x_t"
    )

    length: int = static(default=1)
    resample: int = static(default=10)

    def __post_init__(self) -> None:
        within(self, 1, float("inf"), "length", "resample")
        if not isinstance(self.operator, Mask):
            raise UserError(
                f"posterior 'repaint' works with masks only, not {type(self.operator).__name__}."
            )

    def solver(self, solver: Solver) -> Solver:
        if not isinstance(solver, OneStep):
            raise UserError(
                f"posterior 'repaint' jumps back, which solver {type(solver).__name__} could not "
                "follow: it remembers earlier steps. Use a solver of one step, like 'ancestral'."
            )
        mask = cast(Mask, self.operator)
        return Repainting(solver, mask.keep, self.observation)

    def grid(self, nodes: Nodes) -> Nodes:
        steps = nodes.time.shape[0] - 1
        return nodes[jnp.array(jumps(steps, self.length, self.resample))]
