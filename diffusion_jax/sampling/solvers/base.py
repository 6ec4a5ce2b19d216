"""What a solver is, and what all of them share."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from diffusion_jax.process.denoiser import Denoiser
from diffusion_jax.process.level import Level
from diffusion_jax.registry import Registry
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.struct import Scalar, pytree

# (x (batch, ...), level ()) → E[x_0 | x]: a denoiser whose condition is given.
Denoise = Denoiser | Callable[[Float[Array, "batch ..."], Level], Float[Array, "batch ..."]]

# k → the k-th standard normal draw of this step, of the shape of x.
Noise = Callable[[int | Int[Array, ""]], Float[Array, "batch ..."]]


@pytree
class State:
    """Where a solver stands.

    Attributes:
        x: the sample so far, (batch, ...).
        denoised: the latest estimate of x_0, same shape; zeros before the first step.
    """

    x: Float[Array, "batch ..."]
    denoised: Float[Array, "batch ..."]


@pytree
class AdaptiveState(State):
    """The state of an adaptive solver.

    Attributes:
        evaluations: how often the denoiser was asked so far, for each sample, (batch,).
    """

    evaluations: Int[Array, "batch"]


T = TypeVar("T")
StateT = TypeVar("StateT", bound=State)


class Solver(ABC, Generic[StateT]):
    """One step of a method between two neighbouring nodes of a grid.

    It is generic over what it keeps from one step to the next: a `State`, with fields of its own.

    A member is a frozen dataclass (`diffusion_jax.struct.pytree`), registered under a name. Its
    `step` from any node to the clean one (sigma = 0) must return the denoised estimate, up to
    the noise that the method itself leaves out there.
    """

    # Attributes of the class, or properties where they depend on the settings.
    @property
    @abstractmethod
    def order(self) -> int:
        """Of global convergence to the exact flow (stochastic: in distribution).

        0 for those that want a consistency function in place of the denoiser.
        """

    @property
    @abstractmethod
    def stochastic(self) -> bool:
        """Whether these settings draw noise."""

    @property
    def needs_signal(self) -> bool:
        """Whether it divides by alpha, which must not be 0 then."""
        return False

    @property
    def needs_variance(self) -> bool:
        """Whether the denoiser has to tell its variance (`Denoiser.variance`)."""
        return False

    @property
    def adaptive(self) -> bool:
        """Whether it chooses steps of its own between two nodes; its state counts evaluations."""
        return False

    @property
    def takes_consistency(self) -> bool:
        """Whether a consistency function may stand in the place of the denoiser."""
        return False

    @property
    def goes_back(self) -> bool:
        """Whether it can follow a grid that goes back to more noise."""
        return False

    def for_denoiser(self, denoiser: Denoiser) -> "Solver":
        """The solver that takes the steps with this denoiser: itself, but for `jump`."""
        return self

    def evaluations(self, steps: int) -> int:
        """Number of denoiser evaluations (NFE) of `steps` steps towards the data.

        At most so many, if it is adaptive.
        """
        return steps

    @abstractmethod
    def init(self, x: Float[Array, "batch ..."], nodes: Nodes) -> StateT:
        """The state before the first step."""

    @abstractmethod
    def step(
        self, state: StateT, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> StateT:
        """The state at node `there`, given that at node `here`; both nodes hold scalars."""


solvers: Registry[Solver] = Registry("solver", Solver)


class OneStep(Solver[State]):
    """A solver whose state is the sample alone, at one evaluation a step unless it says more."""

    def init(self, x: Float[Array, "batch ..."], nodes: Nodes) -> State:
        return State(x, jnp.zeros_like(x))


@pytree
class Memory:
    """The last evaluations of a multistep solver, the latest first.

    Attributes:
        estimates: of x_0, (kept, batch, ...); zeros where there was none yet.
        node: where each was made, (kept,); the grid's first node where there was none yet.
        count: how many there were, at most `kept`; an integer scalar.
    """

    estimates: Float[Array, "kept batch ..."]
    node: Nodes
    count: Int[Array, ""]

    @staticmethod
    def empty(x: Float[Array, "batch ..."], nodes: Nodes, kept: int) -> "Memory":
        """A memory for `kept` evaluations, in which there are none."""
        first = jax.tree.map(lambda values: jnp.broadcast_to(values[0], (kept,)), nodes)
        return Memory(jnp.zeros((kept, *x.shape), x.dtype), first, jnp.zeros((), int))

    def push(self, estimate: Float[Array, "batch ..."], node: Nodes) -> "Memory":
        """With an evaluation at `node` (scalars) put in front, and the oldest dropped."""

        def put(value: Array, values: Array) -> Array:
            return jnp.concatenate([value[None], values[:-1]])

        count = jnp.minimum(self.count + 1, self.estimates.shape[0])
        return Memory(put(estimate, self.estimates), jax.tree.map(put, node, self.node), count)


@pytree
class MultistepState(State):
    """A `State` that remembers earlier evaluations, and how far it still is to the end.

    Attributes:
        memory: the last evaluations before this step.
        left: how many steps are left, this one included; an integer scalar.
    """

    memory: Memory
    left: Int[Array, ""]


class Multistep(Solver[MultistepState]):
    """A solver with a memory, at one evaluation a step unless it says more."""

    @property
    def kept(self) -> int:
        """How many earlier evaluations it remembers."""
        return 1

    def init(self, x: Float[Array, "batch ..."], nodes: Nodes) -> MultistepState:
        memory = Memory.empty(x, nodes, self.kept)
        return MultistepState(x, jnp.zeros_like(x), memory, nodes.steps)


def adds_noise(*settings: Scalar) -> bool:
    """Whether factors of the noise leave any of it; of arrays it is not known, and taken for so.

    >>> adds_noise(0.5, 1.0), adds_noise(0.0, 1.0)
    (True, False)
    """
    return not any(isinstance(value, (int, float)) and value == 0 for value in settings)


def predicted_noise(
    x: Float[Array, "batch ..."], x0: Float[Array, "batch ..."], level: Level
) -> Float[Array, "batch ..."]:
    """eps = (x - alpha x_0)/sigma."""
    return (x - level.alpha * x0) / level.sigma


def renoised(
    x: Float[Array, "batch ..."], here: Level, there: Level, z: Float[Array, "batch ..."]
) -> Float[Array, "batch ..."]:
    """x at a noisier level: r x + sqrt(sigma_there² - (r sigma)²) z, with r the ratio of alphas."""
    ratio = there.alpha / here.alpha
    variance = there.sigma**2 - (ratio * here.sigma) ** 2
    return ratio * x + jnp.sqrt(jnp.maximum(variance, 0)) * z


def unless_clean(there: Nodes, correct: Callable[[], T], otherwise: T) -> T:
    """`correct()` if the node is noisy, else `otherwise`: the denoiser is not run on clean data."""
    return jax.lax.cond(there.level.sigma > 0, correct, lambda: otherwise)


def halfway(start: Level, end: Level, part: Scalar) -> Level:
    """The level at `part` of the interval from one level to another, in log-SNR.

    It is variance-preserving, whatever the schedule: where a solver evaluates between nodes, only
    the log-SNR counts, as long as x there is on the scale of that level.
    """
    return Level.from_log_snr(start.log_snr + part * (end.log_snr - start.log_snr))
