"""Chooses how arms that share a step are trained: in turn, or together and how many at a time.

The choice never changes a number beyond rounding, so it is made by what is faster on the device at
hand: both are compiled and timed on the first batch. Arms together must fit into memory, as the
compiler counts it; where they do not, they are split into halves until they do.

Convolutions with an axis of arms are not timed on CPU, as compiling them takes longest there and
they were two times slower in every measurement (`python -m experiments.benchmark`). The choice is
kept in the run folder, so that a run which is continued on the same devices takes the same
programs and ends with the same bits.
"""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils

from diffusion_jax.errors import UserError
from diffusion_jax.parallel import devices
from diffusion_jax.sealed import read_sealed, save_sealed
from diffusion_jax.training.draws import Draws
from diffusion_jax.training.groups import Batch, Group, States, Together
from diffusion_jax.training.inputs import Inputs
from diffusion_jax.training.memory import array_bytes, compiled_bytes
from diffusion_jax.training.program import Program

FILE = "execution.json"
ROUNDS = 3
SHARE = 0.9  # of the free memory, which is as much as a program may take


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
            return [program.one_by_one(self.arms)]
        parts = range(0, len(self.arms), self.at_once)
        return [program.together(self.arms[i : i + self.at_once]) for i in parts]


def arrange(
    program: Program,
    states: States,
    batch: Batch,
    draws: Draws,
    folder: Path | None = None,
) -> list[Execution]:
    """Chooses for all arms of a program.

    Args:
        program: the arms.
        states: of all arms; they are left as they are.
        batch: any batch, on the devices.
        draws: of any step.
        folder: of the run, where the choice is kept; None for nowhere.

    Returns:
        One for each set of arms that share a step.
    """
    room, execution = devices.free_memory(), program.options.execution
    kept = [] if folder is None else _read(folder / FILE, execution)
    found = []
    for names in program.sharing():
        known = next((e for e in kept if set(e.arms) == set(names)), None)
        found.append(known or _choose(program, names, states, batch, draws, execution, room))
    if folder is not None and found != kept and devices.is_primary():
        rows = [dataclasses.asdict(each) for each in found]
        document = {"devices": _here(), "asked": execution, "execution": rows}
        save_sealed(document, folder / FILE)
    return found


def _choose(
    program: Program,
    names: tuple[str, ...],
    states: States,
    batch: Batch,
    draws: Draws,
    execution: str,
    room: float,
) -> Execution:
    if len(names) == 1:
        return Execution(names, 1, "one arm")
    if execution == "apart":
        return Execution(names, 1, "as the config says")
    on_cpu = jax.default_backend() == "cpu"
    if execution == "auto" and on_cpu and _convolves(program, names[0], states, batch, draws):
        return Execution(names, 1, "convolutions on CPU, not timed")
    at_once = _fitting(program, names, states, batch, draws, room)
    if execution == "together" or at_once == 1:
        why = "as the config says" if at_once == len(names) else f"{at_once} fit into memory"
        return Execution(names, at_once, why)
    apart = _seconds([program.one_by_one(names)], program, states, batch, draws)
    mapped = Execution(names, at_once, "").groups(program)
    together = _seconds(mapped, program, states, batch, draws)
    apart, together = agreed(apart, together)
    why = f"a step takes {together:.3g} s together, {apart:.3g} s in turn"
    return Execution(names, at_once if together < apart else 1, why)


def _convolves(program: Program, name: str, states: States, batch: Batch, draws: Draws) -> bool:
    inputs = Inputs(batch, draws, program.targets[name](draws.u))
    lowered = jax.jit(program.steps[name]).lower(states[name], program.arms[name].hyper, inputs)
    return "stablehlo.convolution" in lowered.as_text()


def _fitting(
    program: Program,
    names: Sequence[str],
    states: States,
    batch: Batch,
    draws: Draws,
    room: float,
) -> int:
    """How many arms may be mapped over at once: all, or a half of them, or a quarter, …"""
    at_once = len(names)
    while at_once > 1:
        part = names[:at_once]
        needed = bytes_needed(program, program.together(part), states, batch, draws)
        # The states of the other parts wait on the device meanwhile.
        waiting = sum(array_bytes(states[name]) for name in names[at_once:])
        if needed + waiting <= SHARE * room:
            break
        at_once = (at_once + 1) // 2
    return at_once


def bytes_needed(
    program: Program, group: Together, states: States, batch: Batch, draws: Draws
) -> int:
    """Bytes that a step of the group takes on each device, as the compiler counts them."""
    targets = {name: program.targets[name](draws.u) for name in group.names}
    ((lowered, _),) = group.lowered(group.join(states), batch, draws, targets)
    return compiled_bytes(lowered)


def _seconds(
    groups: Sequence[Group], program: Program, states: States, batch: Batch, draws: Draws
) -> float:
    """Wall-clock seconds of a step of all groups, the least of some, compilation apart."""
    targets = {name: program.targets[name](draws.u) for group in groups for name in group.names}
    copied = jax.tree.map(lambda x: x.copy(), {name: states[name] for name in targets})
    joined = [group.join(copied) for group in groups]
    taken = []
    for _ in range(1 + ROUNDS):
        start = time.perf_counter()
        joined = [
            group.update(state, batch, draws, targets)[0]
            for group, state in zip(groups, joined, strict=True)
        ]
        jax.block_until_ready(joined)
        taken.append(time.perf_counter() - start)
    return min(taken[1:])


def agreed(*seconds: float) -> list[float]:
    """What the first process has measured, in all of them."""
    return [float(x) for x in multihost_utils.broadcast_one_to_all(np.array(seconds))]


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
