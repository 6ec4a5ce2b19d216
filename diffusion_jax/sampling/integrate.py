"""The probability flow in a variable in which it is smooth, and its integration by diffrax.

Let u = x/sqrt(alpha² + sigma²), the variance-preserving process of the same log-SNR, and
y = asinh(alpha/sigma), so that its alpha is tanh y and its sigma 1/cosh y. Then the flow is

    du/dy = E[x_0 | u] - tanh(y) u,

whatever the schedule: nothing is divided by, y is 0 where no signal is left, and close to data it
grows like -log sigma, so that all scales of the data take a like share of it.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from diffusion_jax.errors import one_of, positive
from diffusion_jax.process.level import Level
from diffusion_jax.sampling.each import each
from diffusion_jax.struct import Scalar, pytree, static

# (y (batch,), state of which each leaf is (batch, ...)) → d(state)/dy, a tree of the same shapes.
Slope = Callable[[Float[Array, "batch"], PyTree], PyTree]

# diffrax's methods by name: order, and new evaluations in a step, accepted or not.
METHODS = {"Bosh3": (3, 3), "Tsit5": (5, 6), "Dopri5": (5, 6), "Dopri8": (8, 13)}
# The first step tried is this part of the interval: short enough to be accepted, and soon outgrown.
FIRST = 0.05


def depth(level: Level) -> Float[Array, "..."]:
    """y = asinh(alpha/sigma), from 0 at pure noise to infinity at clean data."""
    return jnp.arcsinh(level.alpha / level.sigma)


def level_at(y: Float[Array, "..."]) -> Level:
    """The variance-preserving level at y: alpha = tanh y, sigma = 1/cosh y."""
    return Level(jnp.tanh(y), 1 / jnp.cosh(y))


def scale(level: Level) -> Float[Array, "..."]:
    """sqrt(alpha² + sigma²), which is x/u; 1 for variance-preserving processes."""
    return jnp.sqrt(level.alpha**2 + level.sigma**2)


@pytree
class Integrator:
    """An explicit Runge-Kutta method, with steps of each sample's own size.

    The error of a step is kept below atol + rtol |state|, in the root mean square over a sample.

    Attributes:
        method: "bosh3", "tsit5", "dopri5" or "dopri8".
        rtol: relative tolerance.
        atol: absolute tolerance, in units of the data.
        max_steps: after which a sample is given up and becomes NaN.

    >>> y, evaluations = Integrator()(lambda y, x: -x, jnp.ones((2, 1)), 0.0, 1.0)
    >>> round(float(y[0, 0]), 4)
    0.3679
    """

    method: str = static(default="dopri5")
    rtol: Scalar = 1e-5
    atol: Scalar = 1e-5
    max_steps: int = static(default=1000)

    def __post_init__(self) -> None:
        one_of(self.method, [name.lower() for name in METHODS], "method")
        positive(self, "rtol", "atol", "max_steps")

    @property
    def order(self) -> int:
        """Of the method."""
        return METHODS[self.method.capitalize()][0]

    @property
    def most_evaluations(self) -> int:
        """Of one call: if it takes all the steps that it may."""
        return 1 + METHODS[self.method.capitalize()][1] * self.max_steps

    def __call__(
        self, slope: Slope, state: PyTree, start: Scalar, end: Scalar
    ) -> tuple[PyTree, Int[Array, "batch"]]:
        """The state at `end`, and how many evaluations that took for each sample.

        Args:
            slope: of the whole batch, each sample at its own y.
            state: a tree of (batch, ...) at `start`.
            start: first y.
            end: last y, before or after.
        """
        import diffrax  # here, since importing it takes seconds

        name = self.method.capitalize()
        span = end - start

        def unit(part: Float[Array, "batch"], state: PyTree) -> PyTree:
            return jax.tree.map(lambda v: span * v, slope(start + part * span, state))

        example = jnp.zeros(jax.tree.leaves(state)[0].shape[0]), state
        slope_of_one = each(lambda given: unit(*given), example)

        def one(state: PyTree) -> tuple[PyTree, Array]:
            found = diffrax.diffeqsolve(
                diffrax.ODETerm(lambda part, state, args: slope_of_one((jnp.asarray(part), state))),
                getattr(diffrax, name)(),
                t0=0.0,
                t1=1.0,
                dt0=FIRST,
                y0=state,
                stepsize_controller=diffrax.PIDController(rtol=self.rtol, atol=self.atol),
                adjoint=diffrax.ForwardMode(),
                max_steps=self.max_steps,
                throw=False,
            )
            done = found.result == diffrax.RESULTS.successful
            last = jax.tree.map(lambda v: jnp.where(done, v[-1], jnp.nan), found.ys)
            return last, 1 + METHODS[name][1] * found.stats["num_steps"].astype(int)

        return jax.vmap(one)(state)
