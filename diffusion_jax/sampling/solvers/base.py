"""What a solver is, and what all of them share."""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.process.level import Level
from diffusion_jax.registry import Registry
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.struct import pytree

# (x (batch, ...), level ()) → E[x_0 | x]: a denoiser whose condition is settled.
Denoise = Callable[[Float[Array, "batch ..."], Level], Float[Array, "batch ..."]]

# k → the k-th standard normal draw of this step, of the shape of x.
Noise = Callable[[int], Float[Array, "batch ..."]]


@pytree
class State:
    """Where a solver stands.

    Attributes:
        x: the sample so far, (batch, ...).
        denoised: the latest estimate of x_0, same shape; zeros before the first step.
    """

    x: Float[Array, "batch ..."]
    denoised: Float[Array, "batch ..."]


@runtime_checkable
class Solver(Protocol):
    """One step of a method between two neighbouring nodes of a grid.

    A member is a frozen dataclass (`diffusion_jax.struct.pytree`), registered under a name. Its
    `step` from any node to the clean one (sigma = 0) must return the denoised estimate, up to
    the noise that the method itself leaves out there.
    """

    order: ClassVar[int]  # of global convergence to the exact flow (stochastic: in distribution)
    stochastic: ClassVar[bool]  # whether the default settings draw noise
    needs_signal: ClassVar[bool]  # whether it divides by alpha, which must not be 0 then

    def evaluations(self, steps: int) -> int:
        """Number of denoiser evaluations (NFE) that `steps` steps cost."""
        ...

    def init(self, x: Float[Array, "batch ..."], nodes: Nodes) -> Any:
        """The state before the first step; has at least the fields of `State`."""
        ...

    def step(self, state: Any, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise) -> Any:
        """The state at node `there`, given that at node `here`; both nodes hold scalars."""
        ...


solvers: Registry[Solver] = Registry("solver")


class OneStep:
    """A solver whose state is the sample alone, at one evaluation a step unless it says more."""

    needs_signal: ClassVar[bool] = False

    def evaluations(self, steps: int) -> int:
        return steps

    def init(self, x: Float[Array, "batch ..."], nodes: Nodes) -> State:
        return State(x, jnp.zeros_like(x))


def predicted_noise(
    x: Float[Array, "batch ..."], x0: Float[Array, "batch ..."], level: Level
) -> Float[Array, "batch ..."]:
    """eps = (x - alpha x_0)/sigma."""
    return (x - level.alpha * x0) / level.sigma


def unless_clean(there: Nodes, correct: Callable[[], Any], otherwise: Any) -> Any:
    """`correct()` if the node is noisy, else `otherwise`: the denoiser is not run on clean data."""
    return jax.lax.cond(there.level.sigma > 0, correct, lambda: otherwise)
