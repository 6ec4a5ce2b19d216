"""Arms of a comparison: trained in one program that is mapped over them, or one after the other."""

import time
from collections.abc import Callable

import jax

from diffusion_jax.parallel import devices
from diffusion_jax.runs.state import TrainState
from diffusion_jax.training.execution import Group, InTurn, Together
from experiments.device import library, memory
from experiments.device.problems import problem
from experiments.device.section import Figures
from experiments.device.timing import in_turn, ratio

ARMS = 8
BATCHES = {"mlp": 256, "dit_s2": 32, "unet": 32}  # of each arm, as small comparisons have


def measure(name: str, dtype: str, small: bool) -> Figures:
    """Times a step of all arms both executions, in turn."""
    batch = 4 if small else BATCHES[name]
    return memory.fitting(batch, lambda batch: _with_batch(name, dtype, batch, small))


def _with_batch(name: str, dtype: str, batch: int, small: bool) -> Figures:
    chosen = problem(name, small)
    training = library.training(chosen, dtype, (), batch)
    rates = {f"arm{i}": 1e-5 * (i + 1) for i in range(ARMS)}
    hypers = {arm: library.hyper(batch, rate) for arm, rate in rates.items()}
    weights = library.first_weights(training.network, chosen.shape)
    mesh = devices.data_mesh(jax.local_devices()[:1])
    groups: dict[str, Group] = {
        "in_turn": InTurn(hypers, jax.jit(training.step, donate_argnums=0)),
        "together": Together(hypers, training.step, mesh),
    }

    def states() -> dict[str, TrainState]:
        return {arm: library.first_state(weights, own) for arm, own in hypers.items()}

    works = [_steps(training, group, states()) for group in groups.values()]
    apart, together = in_turn(works, small)
    return {
        "means": chosen.means,
        "dtype": dtype,
        "arms": ARMS,
        "batch": batch,
        "in_turn": apart.figures(),
        "together": together.figures(),
        "times_faster": ratio(apart, together),
        "bytes_peak": memory.statistic("peak_bytes_in_use"),
    }


def _steps(
    training: library.Training, group: Group, states: dict[str, TrainState]
) -> Callable[[int], float]:
    """Makes steps of all arms of a group; returns the seconds of so many."""
    joined, number = group.join(states), 0

    def work(count: int) -> float:
        nonlocal joined, number
        start = time.perf_counter()
        for _ in range(count):
            inputs = dict.fromkeys(group.names, training.inputs(number))
            joined, _ = group.update(joined, inputs)
            number += 1
        jax.block_until_ready(joined)
        return time.perf_counter() - start

    return work
