"""Predictor-corrector sampling, and annealed Langevin dynamics."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, one_of, positive, within
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import (
    Denoise,
    Noise,
    Solver,
    State,
    predicted_noise,
    solvers,
)
from diffusion_jax.sampling.solvers.reverse_diffusion import ReverseDiffusion
from diffusion_jax.struct import Scalar, pytree, static


def _norm(x: Float[Array, "batch ..."], over_batch: bool) -> Float[Array, "..."]:
    """The Euclidean norm of each sample, or their mean, with axes to broadcast against x."""
    norm = jnp.sqrt(jnp.sum(x**2, axis=tuple(range(1, x.ndim)), keepdims=True))
    return jnp.mean(norm, axis=0, keepdims=True) if over_batch else norm


@solvers.register("predictor_corrector")
@pytree
class PredictorCorrector(Solver[State]):
    """Langevin steps at each level, then a predictor's step to the next.

    x <- x + e score + sqrt(2 e) z, `corrections` times, then the predictor. With r the ratio of
    alpha to that of the next level: "langevin" chooses e = 2 r² (snr |z|/|score|)², "ald"
    e = 2 r² (snr sigma)². A correction at a fixed snr has an error of its own, of the size of
    snr², that finer steps do not remove: the method as a whole has no order.

    Attributes:
        predictor: any solver of one step; None leaves x as it is, which makes the method annealed
            Langevin dynamics. The last step, onto clean data, is then the denoised estimate.
        corrector: how the size of a correction is chosen: "ald", or "langevin", for data of so many
            dimensions that the norm of a score never comes close to 0.
        corrections: per step.
        snr: size of a correction.
        norms: of z and score in "langevin": those of each "sample", or their means over the
            "batch", with which a sample depends on the others.

    Source: Song et al. 2021 (score SDE), algorithms 2-5; Song & Ermon 2019, algorithm 1.
    """

    formula: ClassVar[str] = (
        "x ← x + e ∇log p + √(2e) z, e = 2 r² (snr |z|/|∇log p|)² (langevin) or 2 r² (snr σ)² "
        "(ald), r = α_t/α_s, corrections times, then the predictor"
    )

    predictor: Solver | None = ReverseDiffusion()
    corrector: str = static(default="ald")
    corrections: int = static(default=1)
    snr: Scalar = 0.16
    norms: str = static(default="sample")

    order = 0
    stochastic = True

    def __post_init__(self) -> None:
        one_of(self.corrector, ("langevin", "ald"), "corrector")
        one_of(self.norms, ("sample", "batch"), "norms of solver 'predictor_corrector'")
        within(self, 1, 100, "corrections")  # each is compiled by itself
        positive(self, "snr")
        if self.predictor is not None and self.predictor.adaptive:
            raise UserError("PredictorCorrector: the predictor must not be an adaptive solver.")

    @property
    def needs_signal(self) -> bool:
        """Whether the predictor does."""
        return self.predictor is not None and self.predictor.needs_signal

    def evaluations(self, steps: int) -> int:
        predicted = 1 if self.predictor is None else self.predictor.evaluations(steps)
        return self.corrections * steps + predicted

    def init(self, x: Float[Array, "batch ..."], nodes: Nodes) -> State:
        if self.predictor is None:
            return State(x, jnp.zeros_like(x))
        return self.predictor.init(x, nodes)

    def step(
        self, state: State, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> State:
        for k in range(self.corrections):
            state = self._correct(state, here, there, denoise, noise(k))
        if self.predictor is None:
            return self._end(state, here, there, denoise)
        return self.predictor.step(
            state, here, there, denoise, lambda k: noise(self.corrections + k)
        )

    def _correct(
        self,
        state: State,
        here: Nodes,
        there: Nodes,
        denoise: Denoise,
        z: Float[Array, "batch ..."],
    ) -> State:
        x0, sigma = denoise(state.x, here.level), here.level.sigma
        score = -predicted_noise(state.x, x0, here.level) / sigma
        if self.corrector == "ald":
            size = self.snr * sigma
        else:
            over_batch = self.norms == "batch"
            # Where the score vanishes, which is nowhere but at a mode, there is no step.
            norm = _norm(score, over_batch)
            size = self.snr * _norm(z, over_batch) / jnp.where(norm > 0, norm, jnp.inf)
        step = 2 * (here.level.alpha / there.level.alpha * size) ** 2
        x = state.x + step * score + jnp.sqrt(2 * step) * z
        return dataclasses.replace(state, x=x, denoised=x0)

    @staticmethod
    def _end(state: State, here: Nodes, there: Nodes, denoise: Denoise) -> State:
        """Without a predictor: nothing but the denoised estimate onto clean data."""

        def denoised() -> State:
            x0 = denoise(state.x, here.level)
            return State(x0, x0)

        return jax.lax.cond(there.level.sigma > 0, lambda: state, denoised)
