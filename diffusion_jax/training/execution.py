"""How the arms of a run are executed: those that share a step in turn, or mapped over together.

With both each arm gets the numbers of the arm trained alone, to rounding. So the choice is made
by what is faster on the device at hand: both are compiled and timed on the first batch. Arms
together must fit into memory, as the compiler counts it; where they do not, they are split into
halves until they do.

Convolutions with an axis of arms are not timed on CPU, as compiling them takes longest there and
they were two times slower in every measurement (`python -m experiments.benchmark`). The choice is
kept in the run folder, so that a run which is continued on the same devices takes the same
programs and ends with the same bits.
"""

import dataclasses
import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding
from jaxtyping import Array, Float, PyTree

from diffusion_jax.errors import UserError
from diffusion_jax.parallel import devices
from diffusion_jax.process.objective import TrainingTargets
from diffusion_jax.runs.state import TrainState
from diffusion_jax.sealed import read_sealed, save_sealed
from diffusion_jax.training.draws import Draws
from diffusion_jax.training.hyper import Hyper
from diffusion_jax.training.inputs import Inputs
from diffusion_jax.training.memory import TooLarge, array_bytes, compiled_bytes, gigabytes
from diffusion_jax.training.program import Program
from diffusion_jax.training.step import Metrics, TrainStep

States = dict[str, TrainState]
ArmInputs = Mapping[str, Inputs]  # arm -> its inputs; batch and draws are the same for all

FILE = "execution.json"
ROUNDS = 3
SHARE = 0.9  # of the free memory, which is as much as a program may take


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

    def lowered(self, joined: PyTree[Any], inputs: ArmInputs) -> Iterator[tuple[Any, PyTree[Any]]]:
        """The programs of `update`, not compiled yet, each with the states that it is given."""

    def update(
        self, joined: PyTree[Any], inputs: ArmInputs, dropped: frozenset[str] = frozenset()
    ) -> tuple[PyTree[Any], dict[str, Metrics]]:
        """One step of its arms, but for those `dropped`; `joined` must not be used afterwards."""


@dataclasses.dataclass(frozen=True)
class InTurn:
    """Calls the compiled step for one arm after the other.

    Attributes:
        hypers: arm -> its own settings.
        step: a compiled `TrainStep`; consumes the state.
    """

    hypers: Mapping[str, Hyper]
    step: jax.stages.Wrapped

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.hypers)

    def join(self, states: States) -> States:
        return {name: states[name] for name in self.names}

    def split(self, joined: States) -> States:
        return dict(joined)

    def lowered(self, joined: States, inputs: ArmInputs) -> Iterator[tuple[Any, PyTree[Any]]]:
        for name, hyper in self.hypers.items():
            yield self.step.lower(joined[name], hyper, inputs[name]), joined[name]

    def update(
        self, joined: States, inputs: ArmInputs, dropped: frozenset[str] = frozenset()
    ) -> tuple[States, dict[str, Metrics]]:
        states, metrics = dict(joined), {}
        for name, hyper in self.hypers.items():
            if name not in dropped:
                states[name], metrics[name] = self.step(states[name], hyper, inputs[name])
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
        whole, split = devices.replicated(mesh), devices.by_rows(mesh)
        arms, rows = (split, whole) if over_devices else (whole, split)
        self._stack = jax.jit(_stacked, out_shardings=arms)
        self._unstack = jax.jit(_unstacked, static_argnums=1, out_shardings=whole)
        self.step = _mapped(step, arms, rows)

    def join(self, states: States) -> TrainState:
        return self._stack([states[name] for name in self.names])

    def split(self, joined: TrainState) -> States:
        return dict(zip(self.names, self._unstack(joined, len(self.names)), strict=True))

    def lowered(self, joined: TrainState, inputs: ArmInputs) -> Iterator[tuple[Any, PyTree[Any]]]:
        yield self.step.lower(joined, self.hyper, *self._shared(inputs)), joined

    def update(
        self, joined: TrainState, inputs: ArmInputs, dropped: frozenset[str] = frozenset()
    ) -> tuple[TrainState, dict[str, Metrics]]:
        joined, metrics = self.step(joined, self.hyper, *self._shared(inputs))
        # Arms do not meet: what becomes of one that was dropped does not touch the others.
        each = {
            name: {key: values[i] for key, values in metrics.items()}
            for i, name in enumerate(self.names)
            if name not in dropped
        }
        return joined, each

    def _shared(
        self, inputs: ArmInputs
    ) -> tuple[dict[str, Any], Draws, list[TrainingTargets | None]]:
        """Batch and draws, which all arms have in common, and the targets of each."""
        one = inputs[self.names[0]]
        return one.batch, one.draws, [inputs[name].targets for name in self.names]


def _stacked(trees: Sequence[PyTree[Any]]) -> PyTree[Any]:
    return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(x) for x in leaves]), *trees)


def _unstacked(joined: PyTree[Any], count: int) -> list[PyTree[Any]]:
    return [jax.tree.map(lambda x, i=i: x[i], joined) for i in range(count)]


@functools.cache
def _mapped(step: TrainStep, arms: NamedSharding, rows: NamedSharding) -> jax.stages.Wrapped:
    """The compiled step of all arms: (states, hypers, batch, draws, targets of each).

    One object for equal arguments, so that JAX compiles it once.
    """

    def mapped(
        states: TrainState,
        hypers: Hyper,
        batch: dict[str, Any],
        draws: Draws,
        targets: Sequence[TrainingTargets | None],
    ) -> tuple[TrainState, dict[str, Float[Array, " arms"]]]:
        batch, draws = jax.lax.with_sharding_constraint((batch, draws), rows)

        def one(
            state: TrainState, hyper: Hyper, levels: TrainingTargets | None
        ) -> tuple[TrainState, Metrics]:
            return step(state, hyper, Inputs(batch, draws, levels))

        return jax.vmap(one)(states, hypers, _stacked(targets))

    return jax.jit(mapped, donate_argnums=0, out_shardings=(arms, None))


def in_turn(program: Program, names: Sequence[str]) -> InTurn:
    """Trains arms that share a step one after the other."""
    step = jax.jit(
        program.steps[names[0]], donate_argnums=0, out_shardings=devices.replicated(program.mesh)
    )
    return InTurn({name: program.arms[name].hyper for name in names}, step)


def together(program: Program, names: Sequence[str]) -> Together:
    """Trains arms that share a step in one program that is mapped over them."""
    hypers = {name: program.arms[name].hyper for name in names}
    return Together(hypers, program.steps[names[0]], program.mesh)


@dataclasses.dataclass(frozen=True)
class Execution:
    """How arms that share a step are trained.

    Attributes:
        arms: their names.
        at_once: how many are mapped over in one program; 1: they are trained in turn.
        why: in words, with the seconds measured.
    """

    arms: tuple[str, ...]
    at_once: int
    why: str

    def groups(self, program: Program) -> list[Group]:
        """The arms as groups."""
        if self.at_once == 1:
            return [in_turn(program, self.arms)]
        parts = range(0, len(self.arms), self.at_once)
        return [together(program, self.arms[i : i + self.at_once]) for i in parts]


def choose(
    program: Program, states: States, inputs: ArmInputs, folder: Path | None = None
) -> list[Execution]:
    """Chooses for all arms of a program, as its options ask.

    Args:
        program: the arms.
        states: of all arms; they are left as they are.
        inputs: of all arms, in any step.
        folder: of the run, where the choice is kept; None for nowhere.

    Returns:
        One for each set of arms that share a step.
    """
    asked = program.options.execution
    kept = [] if folder is None else _read(folder / FILE, asked)
    found = []
    for names in program.sharing():
        known = next((e for e in kept if set(e.arms) == set(names)), None)
        found.append(known or _choose(program, names, states, inputs))
    if folder is not None and found != kept and devices.is_primary():
        rows = [dataclasses.asdict(each) for each in found]
        save_sealed({"devices": _here(), "asked": asked, "execution": rows}, folder / FILE)
    return found


def _choose(
    program: Program, names: tuple[str, ...], states: States, inputs: ArmInputs
) -> Execution:
    asked = program.options.execution
    if len(names) == 1:
        return Execution(names, 1, "one arm")
    if asked == "apart":
        return Execution(names, 1, "as the config says")
    on_cpu = jax.default_backend() == "cpu"
    if asked == "auto" and on_cpu and _convolves(program, names[0], states, inputs):
        return Execution(names, 1, "convolutions on CPU, not timed")
    at_once = _fitting(program, names, states, inputs)
    if asked == "together" or at_once == 1:
        why = "as the config says" if at_once == len(names) else f"{at_once} fit into memory"
        return Execution(names, at_once, why)
    apart = _seconds([in_turn(program, names)], states, inputs)
    mapped = _seconds(Execution(names, at_once, "").groups(program), states, inputs)
    apart, mapped = devices.from_primary(apart, mapped)
    why = f"a step takes {mapped:.3g} s together, {apart:.3g} s in turn"
    return Execution(names, at_once if mapped < apart else 1, why)


def _convolves(program: Program, name: str, states: States, inputs: ArmInputs) -> bool:
    step = jax.jit(program.steps[name])
    lowered = step.lower(states[name], program.arms[name].hyper, inputs[name])
    return "stablehlo.convolution" in lowered.as_text()


def _fitting(program: Program, names: Sequence[str], states: States, inputs: ArmInputs) -> int:
    """How many arms may be mapped over at once: all, or a half of them, or a quarter, …"""
    room, at_once = devices.free_memory(), len(names)
    while at_once > 1:
        needed = bytes_needed(together(program, names[:at_once]), states, inputs)
        # The states of the other parts wait on the device meanwhile.
        waiting = sum(array_bytes(states[name]) for name in names[at_once:])
        if needed + waiting <= SHARE * room:
            break
        at_once = (at_once + 1) // 2
    return at_once


def bytes_needed(group: Together, states: States, inputs: ArmInputs) -> int:
    """Bytes that a step of the group takes on each device, as the compiler counts them."""
    ((lowered, _),) = group.lowered(group.join(states), inputs)
    return compiled_bytes(lowered)


def _seconds(groups: Sequence[Group], states: States, inputs: ArmInputs) -> float:
    """Wall-clock seconds of a step of all groups, the least of some, compilation apart."""
    names = [name for group in groups for name in group.names]
    copied = jax.tree.map(lambda x: x.copy(), {name: states[name] for name in names})
    joined = [group.join(copied) for group in groups]
    taken = []
    for _ in range(1 + ROUNDS):
        start = time.perf_counter()
        pairs = zip(groups, joined, strict=True)
        joined = [group.update(state, inputs)[0] for group, state in pairs]
        jax.block_until_ready(joined)
        taken.append(time.perf_counter() - start)
    return min(taken[1:])


def _here() -> list[str]:
    kinds = [f"{device.platform} {device.device_kind}" for device in jax.devices()]
    return [*kinds, f"jax {jax.__version__}"]


def chosen(folder: Path) -> list[Execution]:
    """What was chosen for a run; nothing if it was on other devices, or has not begun."""
    return _read(folder / FILE)


def _read(path: Path, asked: str | None = None) -> list[Execution]:
    """What was chosen before on the same devices, where the config asked for the same."""
    if not path.exists():
        return []
    remedy = "delete it"
    document = read_sealed(path, remedy)
    try:
        if document["devices"] != _here() or asked not in (None, document["asked"]):
            return []
        rows = document["execution"]
        return [Execution(tuple(e["arms"]), int(e["at_once"]), str(e["why"])) for e in rows]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} is damaged: {remedy}.") from None


class Trainer:
    """Holds the states of all arms of a run and steps them, however each group is executed.

    Args:
        program: the arms.
        states: arm -> state; must not be used afterwards.
        inputs: of all arms, in any step.
        folder: of the run, where the choice of groups is kept; None for nowhere.

    Raises:
        TooLarge: a step does not fit into memory.
    """

    def __init__(self, program: Program, states: States, inputs: ArmInputs, folder: Path | None):
        executions = choose(program, states, inputs, folder)
        self._order = tuple(program.arms)
        self._groups = [group for each in executions for group in each.groups(program)]
        self._joined: list[PyTree[Any]] = [group.join(states) for group in self._groups]
        self._check_memory(inputs)

    def update(self, inputs: ArmInputs, dropped: frozenset[str]) -> dict[str, Metrics]:
        """One step of every arm but those dropped; arm -> metrics, in the order of the config."""
        metrics: dict[str, Metrics] = {}
        for i, group in enumerate(self._groups):
            if not dropped.issuperset(group.names):
                self._joined[i], found = group.update(self._joined[i], inputs, dropped)
                metrics |= found
        return {name: metrics[name] for name in self._order if name in metrics}

    def states(self) -> States:
        """Arm -> state, in the order of the config."""
        found: States = {}
        for group, joined in zip(self._groups, self._joined, strict=True):
            found |= group.split(joined)
        return {name: found[name] for name in self._order}

    def _check_memory(self, inputs: ArmInputs) -> None:
        """Raises TooLarge if a step needs more than there is, beside the states of all arms."""
        held, room = sum(map(array_bytes, self._joined)), devices.free_memory()
        for group, joined in zip(self._groups, self._joined, strict=True):
            for lowered, used in group.lowered(joined, inputs):
                needed = compiled_bytes(lowered) + held - array_bytes(used)
                if needed > room:
                    raise TooLarge(
                        f"A training step of {', '.join(group.names[:3])} needs "
                        f"{gigabytes(needed)} of memory on each device, and {gigabytes(room)} are "
                        "there: take a smaller training.batch_size, more training.microbatches, "
                        "or a smaller network."
                    )
