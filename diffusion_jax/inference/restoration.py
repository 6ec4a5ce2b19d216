"""Held-out pictures restored from what an operator shows of them: inverse problems to compare by.

Each sample is the restoration of a picture of its own from y = A x_0 + s n, the same in all arms;
s is the noise that the posterior reckons with: what its spec says, or that of rounding to bytes; 0
where it knows of none.
"""

import dataclasses
import functools
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from ml_collections import ConfigDict

from diffusion_jax.data.example import Values, to_bytes, to_unit
from diffusion_jax.errors import UserError
from diffusion_jax.process.level import Level
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.inverse import Operator, Posterior, operators, posteriors
from diffusion_jax.sampling.inverse.solve import conjugate_gradient
from diffusion_jax.sampling.loop import sample_keys
from diffusion_jax.sampling.solvers import Solver

Pictures = UInt8[np.ndarray, "count height width channels"]

ROUNDING = 2 / 255 / 12**0.5  # standard deviation of rounding to values 2/255 apart
OBSERVING = 2**31 - 1  # folded into the seed, where no sample's number is
ITERATIONS = 50  # of conjugate gradients, for showing what was observed
FAITHFUL = 1e-3  # of the values' variance, which keeps that from amplifying noise


@dataclasses.dataclass(frozen=True)
class Restoration:
    """What is seen of each picture, and how samples are made to agree with it.

    Attributes:
        operator: A.
        posterior: spec of the posterior.
        shape: of a picture.
    """

    operator: Operator
    posterior: str
    shape: tuple[int, ...]

    @staticmethod
    def make(
        config: ConfigDict, shape: tuple[int, ...], operator: Operator | None = None
    ) -> "Restoration | None":
        """Reads `config.sampling`; None where samples are drawn freely.

        Args:
            config: of the run.
            shape: of a picture.
            operator: in place of the config's.

        Raises:
            UserError: a spec is wrong, or of operator and posterior one is named alone.
        """
        named, posterior = config.sampling.operator, config.sampling.posterior
        if operator is None:
            if named == posterior == "none":
                return None
            if named == "none":
                raise UserError(
                    f"sampling.posterior {posterior!r} needs sampling.operator, which says what is "
                    f"seen of a picture: one of {', '.join(operators)}."
                )
            operator = operators.make(named, shape=shape)
        if posterior == "none":
            raise UserError(
                f"sampling.operator {named!r} needs sampling.posterior, which says how what is "
                f"seen is followed: one of {', '.join(posteriors)}."
            )
        made = Restoration(operator, posterior, shape)
        made.check(())
        return made

    def given(self, pictures: Values, seed: int) -> Posterior:
        """The posterior of samples, each of which is to be its own picture."""
        posterior = self._posterior(self.operator(jnp.asarray(to_unit(pictures))))
        std = getattr(posterior, "noise_std", 0.0)
        key = jax.random.fold_in(jax.random.key(seed), OBSERVING)
        shape = posterior.observation.shape[1:]
        noise = jax.vmap(lambda k: jax.random.normal(k, shape))(sample_keys(key, len(pictures)))
        return self._posterior(posterior.observation + std * noise)

    def _posterior(self, y: Float[Array, "batch ..."]) -> Posterior:
        return posteriors.make(
            self.posterior, operator=self.operator, observation=y, noise_std=ROUNDING
        )

    @functools.cached_property
    def _blank(self) -> Posterior:
        return self.given(np.zeros((1, *self.shape), np.uint8), 0)

    def check(self, solvers: Iterable[Solver]) -> None:
        """Raises UserError if the posterior cannot be made, or go with one of the solvers."""
        blank = self._blank
        for solver in solvers:
            blank.solver(solver)

    def steps(self, steps: int) -> int:
        """How many steps towards the data are taken, in the place of `steps` on the grid alone."""
        time = jnp.arange(steps, -1, -1, dtype=float)
        visited = self._blank.grid(Nodes(time, Level(time, time), Level(time, time)))
        return int(np.sum(np.diff(visited.time) < 0))

    def shown(self, posterior: Posterior) -> Pictures:
        """What was observed, as pictures: A^T (A A^T)^-1 y, the smallest that would be seen so.

        What is hidden is grey. A A^T is taken a little larger, so that noise is not amplified.
        """
        y, A = posterior.observation, self.operator

        def apply(u: Array) -> Array:
            return A(A.transpose(u)) + FAITHFUL * u

        return to_bytes(np.asarray(A.transpose(conjugate_gradient(apply, y, ITERATIONS))))


@dataclasses.dataclass(frozen=True)
class Fidelity:
    """How near restored pictures are to the true ones.

    Attributes:
        psnr: peak signal-to-noise ratio of each, 20 log10(255/rmse), in decibels.
        rmse: root of the mean square error of each, in values of a byte, or of vectors in theirs.
    """

    psnr: Float[np.ndarray, "count"]
    rmse: Float[np.ndarray, "count"]

    @staticmethod
    def of(pictures: Values, truth: Values) -> "Fidelity":
        """Compares picture by picture.

        An error of less than one byte in all of a picture counts as one, so that a perfect one
        has a finite ratio.

        >>> black = np.zeros((1, 2, 2, 3), np.uint8)
        >>> round(float(Fidelity.of(black + np.uint8(51), black).psnr[0]), 2)
        13.98
        """
        error = (pictures.astype(np.float64) - truth).reshape(len(truth), -1)
        rmse = np.sqrt(np.mean(error**2, axis=1))
        least = 1 / np.sqrt(error.shape[1])
        return Fidelity(20 * np.log10(255 / np.maximum(rmse, least)), rmse)
