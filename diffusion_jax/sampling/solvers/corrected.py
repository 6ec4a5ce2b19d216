"""What UniPC and SA-Solver share: a corrector that costs no evaluation of its own."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers import adams
from diffusion_jax.sampling.solvers.base import (
    Denoise,
    Memory,
    MultistepState,
    Noise,
    Solver,
    predicted_noise,
)
from diffusion_jax.struct import Scalar, pytree

LAST = ("full", "falling")


@pytree
class CorrectedState(MultistepState):
    """A `MultistepState` whose x is a prediction, to be corrected once it has been evaluated.

    Attributes:
        corrected: the sample at the node before, corrected, (batch, ...).
        fresh: the noise that the last step added, same shape.
        index: how many steps were taken, an integer scalar.
    """

    corrected: Float[Array, "batch ..."]
    fresh: Float[Array, "batch ..."]
    index: Int[Array, ""]


class Corrected(Solver[CorrectedState]):
    """Predicts through values at earlier nodes, and takes the step again with the value there.

    A step evaluates the sample that the last one predicted, corrects it with that value (which is
    kept, not evaluated anew), and predicts the next. So the last prediction stays uncorrected.
    Near the start, and where `last` is "falling" near the end, as many values are used as the
    first and the last step leave room for.

    Attributes:
        estimate: what is integrated, "x0" or "epsilon".
        last: order of the last steps, one of `LAST`.
    """

    estimate: str
    last: str

    @property
    def rule(self) -> str:
        """How a line through two values is integrated, see `adams.slope`."""
        raise NotImplementedError

    @property
    def predictor_values(self) -> int:
        """How many values the predictor uses."""
        raise NotImplementedError

    @property
    def corrector_values(self) -> int:
        """How many values the corrector uses, the one at the new node included; 0 for none."""
        raise NotImplementedError

    def replaced(self, here: Nodes, there: Nodes) -> Scalar:
        """How much noise a step replaces, tau of `adams`."""
        return 0.0

    def fresh(self, here: Nodes, there: Nodes, noise: Noise) -> Array | float:
        """The noise that a step adds."""
        return 0.0

    def corrects(self, index: Int[Array, ""]) -> Array | bool:
        """Whether step number `index` is corrected."""
        return True

    @property
    def needs_signal(self) -> bool:
        return self.estimate == "epsilon"

    def init(self, x: Float[Array, "batch ..."], nodes: Nodes) -> CorrectedState:
        memory = Memory.empty(x, nodes, max(self.predictor_values, self.corrector_values, 2))
        nothing = jnp.zeros_like(x)
        return CorrectedState(x, nothing, memory, nodes.steps, x, nothing, jnp.zeros((), int))

    def step(
        self, state: CorrectedState, here: Nodes, there: Nodes, denoise: Denoise, noise: Noise
    ) -> CorrectedState:
        x0 = denoise(state.x, here.level)
        value = x0 if self.estimate == "x0" else predicted_noise(state.x, x0, here.level)
        memory, left = state.memory.push(value, here), state.left
        x = self._corrected(state, memory) if self.corrector_values else state.x
        fresh = self.fresh(here, there, noise) + jnp.zeros_like(x)
        room = left if self.last == "falling" else self.predictor_values
        count = jnp.minimum(room, self.predictor_values)
        predicted = self._take(x, here, there, memory, count, start=0) + fresh
        return CorrectedState(predicted, x0, memory, left - 1, x, fresh, state.index + 1)

    def _corrected(self, state: CorrectedState, memory: Memory) -> Array:
        """The last step again, with the value at its end."""
        before, here = memory.node[1], memory.node[0]
        room = state.left + 2 if self.last == "falling" else self.corrector_values
        count = jnp.minimum(room, self.corrector_values)
        x = self._take(state.corrected, before, here, memory, count, start=1) + state.fresh
        return jnp.where((state.index > 0) & self.corrects(state.index - 1), x, state.x)

    def _take(
        self, x: Array, here: Nodes, there: Nodes, memory: Memory, count: Array, start: int
    ) -> Array:
        """A step through the last `count` values, of which number `start` was found at `here`."""
        log_snr = memory.node.level.log_snr
        used = adams.usable(log_snr, jnp.minimum(count, memory.count))
        return adams.step(
            x,
            here.level,
            there.level,
            memory.estimates,
            log_snr,
            used,
            start,
            self.estimate,
            self.rule,
            self.replaced(here, there),
        )
