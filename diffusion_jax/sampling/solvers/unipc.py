"""UniPC."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Int

from diffusion_jax.errors import one_of, within
from diffusion_jax.sampling.solvers.adams import ESTIMATES
from diffusion_jax.sampling.solvers.base import solvers
from diffusion_jax.sampling.solvers.corrected import LAST, Corrected
from diffusion_jax.struct import pytree, static

_RULES = {"bh1": "h", "bh2": "expm1", "vary_coeff": "exact"}


@solvers.register("unipc")
@pytree
class UniPC(Corrected):
    """UniP-p predicts through p values of x_0 (or eps), UniC-p corrects through p + 1.

    Both put the polynomial in lambda = log(alpha/sigma) through known values into the exponential
    integral of the probability-flow ODE (see `adams`). Only a line through two values is
    integrated approximately, with B(h) = h or e^h - 1, in the variants "bh1" and "bh2".

    The first step has but one value, so that the whole is of order 3 at most with the corrector,
    2 without.

    Attributes:
        degree: p, the order of the predictor.
        variant: "bh1", "bh2", or "vary_coeff", which integrates everything exactly.
        estimate: what is extrapolated, "x0" or "epsilon".
        corrector: whether there is a corrector (else the method is UniP).
        uncorrected: numbers of steps, from 0, that are not corrected nevertheless, as is advised
            for the first few under strong guidance.
        last: "falling" if the last steps use no more values than there are steps left, or "full".

    Source: Zhao et al. 2023 (UniPC), algorithms 1-2 and section 3.3; data prediction in
    appendix A.

    >>> UniPC(degree=3).order, UniPC(corrector=False).order
    (3, 2)
    """

    formula: ClassVar[str] = (
        "x_s = σ_s/σ_t x_t + α_s ∫₀ʰ e^(u − h) P(u) du, P the polynomial through the last D, and "
        "again with the one at s, h = (λ_s − λ_t)/2"
    )

    degree: int = static(2)
    variant: str = static("bh2")
    estimate: str = static("x0")
    corrector: bool = static(True)
    uncorrected: tuple[int, ...] = static(())
    last: str = static("falling")

    stochastic = False

    def __post_init__(self) -> None:
        within(self, 1, 4, "degree")
        one_of(self.variant, _RULES, "variant of solver 'unipc'")
        one_of(self.estimate, ESTIMATES, "estimate of solver 'unipc'")
        one_of(self.last, LAST, "last of solver 'unipc'")

    @property
    def order(self) -> int:
        """Of the start: h² is lost once in a first step that is not corrected, else h³."""
        start = 3 if self.corrector and 0 not in self.uncorrected else 2
        return min(self.degree + self.corrector, start)

    @property
    def predictor_values(self) -> int:
        return self.degree

    @property
    def corrector_values(self) -> int:
        return self.degree + 1 if self.corrector else 0

    @property
    def rule(self) -> str:
        return _RULES[self.variant]

    def corrects(self, index: Int[Array, ""]) -> Array:
        """Whether step number `index` is corrected."""
        return jnp.all(index != jnp.array(self.uncorrected, int))
