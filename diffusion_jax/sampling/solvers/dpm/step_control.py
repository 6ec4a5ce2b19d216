"""Control of the steps of adaptive solvers by their errors."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from diffusion_jax.struct import Scalar, pytree, static

SMALLEST = 1e-8  # error, so that no step grows beyond all bounds


@pytree
class StepControl:
    """A PID controller of log h.

    f = limit(safety (1/E)^(b_1) (1/E')^(b_2) (1/E'')^(b_3)) from the errors E of this step and E',
    E'' of the accepted ones before, b_1 = (p + i + d)/order, b_2 = -(p + 2 d)/order,
    b_3 = d/order; the next step is f h, and this one counts if f >= accept.

    Attributes:
        proportional, integral, derivative: p, i and d.
        order: of the error in h.
        safety: factor of f.
        accept: the least f with which a step counts.
        limited: whether limit(f) is 1 + arctan(f - 1), or f itself.

    Source: Söderlind 2003 (digital filters in adaptive time-stepping), section 3, and
    Söderlind & Wang 2006 for the limiter.

    >>> control = StepControl(0.0, 1.0, 0.0, order=2, safety=0.9, accept=0.9, limited=False)
    >>> factor, accepted, _ = control(jnp.array([4.0, 0.25]), jnp.zeros((2, 2)))
    >>> [round(float(f), 2) for f in factor], accepted.tolist()
    ([0.45, 1.8], [False, True])
    """

    proportional: Scalar
    integral: Scalar
    derivative: Scalar
    order: Scalar
    safety: Scalar
    accept: Scalar
    limited: bool = static()

    def __call__(
        self, error: Float[Array, "batch"], before: Float[Array, "2 batch"]
    ) -> tuple[Float[Array, "batch"], Bool[Array, "batch"], Float[Array, "2 batch"]]:
        """The factor of the step, whether it counts, and what to remember if it does.

        Args:
            error: E, at most 1 where a step is as good as it should be.
            before: what was remembered, zeros at first.
        """
        # A limited factor stays finite by itself, and changes smoothly where the error vanishes.
        inverse = 1 / (error + SMALLEST if self.limited else jnp.maximum(error, SMALLEST))
        last, last_but_one = jnp.where(before > 0, before, inverse)
        p, i, d = self.proportional, self.integral, self.derivative
        raw = inverse ** ((p + i + d) / self.order) * last ** (-(p + 2 * d) / self.order)
        raw = self.safety * raw * last_but_one ** (d / self.order)
        factor = 1 + jnp.arctan(raw - 1) if self.limited else raw
        return factor, factor >= self.accept, jnp.stack([inverse, last])
