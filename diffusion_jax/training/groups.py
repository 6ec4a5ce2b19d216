"""Arms that share a compiled step: trained one after the other, or mapped over in one program.

Both give each arm the numbers of the arm trained alone, to rounding. Which is faster depends on
network and device (see `training.arrange`).
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding
from jaxtyping import Array, Float, PyTree

from diffusion_jax.parallel import devices
from diffusion_jax.process.objective import TrainingTargets
from diffusion_jax.runs.state import TrainState
from diffusion_jax.training.draws import Draws
from diffusion_jax.training.hyper import Hyper
from diffusion_jax.training.inputs import Inputs
from diffusion_jax.training.step import Metrics, TrainStep

States = dict[str, TrainState]
Batch = dict[str, Any]


@runtime_checkable
class Group(Protocol):
    """Some arms, and how they are stepped. `joined` is what it makes of their states."""

    @property
    def names(self) -> tuple[str, ...]:
        """The arms."""

    def join(self, states: States) -> PyTree[Any]:
        """Takes over the states of its arms, which must not be used afterwards."""

    def split(self, joined: PyTree[Any]) -> States:
        """The states of its arms; `joined` stays usable."""

    def lowered(
        self,
        joined: PyTree[Any],
        batch: Batch,
        draws: Draws,
        targets: Mapping[str, TrainingTargets | None],
    ) -> Iterator[tuple[Any, PyTree[Any]]]:
        """The programs of `update`, not compiled yet, each with the states that it is given."""

    def update(
        self,
        joined: PyTree[Any],
        batch: Batch,
        draws: Draws,
        targets: Mapping[str, TrainingTargets | None],
        dropped: frozenset[str] = frozenset(),
    ) -> tuple[PyTree[Any], dict[str, Metrics]]:
        """One step of its arms, but for those `dropped`; `joined` must not be used afterwards."""


@dataclasses.dataclass(frozen=True)
class OneByOne:
    """Calls the compiled step for every arm in turn.

    Attributes:
        hypers: arm -> its own settings.
        step: a compiled `TrainStep`; consumes the state.
    """

    hypers: Mapping[str, Hyper]
    step: Any

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.hypers)

    def join(self, states: States) -> States:
        return {name: states[name] for name in self.names}

    def split(self, joined: States) -> States:
        return dict(joined)

    def lowered(
        self,
        joined: States,
        batch: Batch,
        draws: Draws,
        targets: Mapping[str, TrainingTargets | None],
    ) -> Iterator[tuple[Any, PyTree[Any]]]:
        for name, hyper in self.hypers.items():
            inputs = Inputs(batch, draws, targets[name])
            yield self.step.lower(joined[name], hyper, inputs), joined[name]

    def update(
        self,
        joined: States,
        batch: Batch,
        draws: Draws,
        targets: Mapping[str, TrainingTargets | None],
        dropped: frozenset[str] = frozenset(),
    ) -> tuple[States, dict[str, Metrics]]:
        states, metrics = dict(joined), {}
        for name, hyper in self.hypers.items():
            if name not in dropped:
                inputs = Inputs(batch, draws, targets[name])
                states[name], metrics[name] = self.step(states[name], hyper, inputs)
        return states, metrics


class Together:
    """Maps the step over the arms: one program, whose arrays have an axis of arms.

    On several devices the axis of arms is split over them where it can be evenly: every device
    then trains some arms on the whole batch, and no gradient travels. Otherwise the batch is
    split, as for one arm.

    Args:
        hypers: arm -> its own settings, all of one structure.
        step: not compiled.
        mesh: the devices.
    """

    def __init__(self, hypers: Mapping[str, Hyper], step: TrainStep, mesh: Mesh):
        self.names = tuple(hypers)
        self.hyper = devices.replicate(_stacked(list(hypers.values())), mesh)
        over_devices = len(hypers) % mesh.size == 0
        self._arms = devices.by_rows(mesh) if over_devices else devices.replicated(mesh)
        self._stack = jax.jit(_stacked, out_shardings=self._arms)
        self._unstack = jax.jit(
            _unstacked, static_argnums=1, out_shardings=devices.replicated(mesh)
        )
        rows = devices.replicated(mesh) if over_devices else devices.by_rows(mesh)
        self.step = _mapped(step, self._arms, rows)

    def join(self, states: States) -> TrainState:
        return self._stack([states[name] for name in self.names])

    def split(self, joined: TrainState) -> States:
        return dict(zip(self.names, self._unstack(joined, len(self.names)), strict=True))

    def lowered(
        self,
        joined: TrainState,
        batch: Batch,
        draws: Draws,
        targets: Mapping[str, TrainingTargets | None],
    ) -> Iterator[tuple[Any, PyTree[Any]]]:
        own = [targets[name] for name in self.names]
        yield self.step.lower(joined, self.hyper, batch, draws, own), joined

    def update(
        self,
        joined: TrainState,
        batch: Batch,
        draws: Draws,
        targets: Mapping[str, TrainingTargets | None],
        dropped: frozenset[str] = frozenset(),
    ) -> tuple[TrainState, dict[str, Metrics]]:
        own = [targets[name] for name in self.names]
        joined, metrics = self.step(joined, self.hyper, batch, draws, own)
        # Arms do not meet: what becomes of one that was dropped does not touch the others.
        each = {
            name: {key: values[i] for key, values in metrics.items()}
            for i, name in enumerate(self.names)
            if name not in dropped
        }
        return joined, each


def _stacked(trees: Sequence[PyTree[Any]]) -> PyTree[Any]:
    return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(x) for x in leaves]), *trees)


def _unstacked(joined: PyTree[Any], count: int) -> list[PyTree[Any]]:
    return [jax.tree.map(lambda x, i=i: x[i], joined) for i in range(count)]


@functools.cache
def _mapped(step: TrainStep, arms: NamedSharding, rows: NamedSharding) -> Any:
    """The compiled step of all arms: (states, hypers, batch, draws, targets of each).

    One object for equal arguments, so that JAX compiles it once.
    """

    def mapped(
        states: TrainState,
        hypers: Hyper,
        batch: Batch,
        draws: Draws,
        targets: Sequence[TrainingTargets | None],
    ) -> tuple[TrainState, dict[str, Float[Array, " arms"]]]:
        batch, draws = jax.lax.with_sharding_constraint((batch, draws), rows)

        def one(
            state: TrainState, hyper: Hyper, own: TrainingTargets | None
        ) -> tuple[TrainState, Metrics]:
            return step(state, hyper, Inputs(batch, draws, own))

        return jax.vmap(one)(states, hypers, _stacked(targets))

    return jax.jit(mapped, donate_argnums=0, out_shardings=(arms, None))
