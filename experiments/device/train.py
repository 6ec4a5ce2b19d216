"""The training step of a network: time, utilisation, memory."""

from collections.abc import Sequence

import jax

from experiments.device import flops, library, memory
from experiments.device.peaks import peak_of
from experiments.device.problems import Problem, problem
from experiments.device.section import Figures
from experiments.device.timing import timed


def measure(name: str, dtype: str, settings: Sequence[str], small: bool) -> Figures:
    """Times the step with the largest batch that fits, of those that halve the problem's.

    Args:
        name: of the problem.
        dtype: of the computation.
        settings: of the network.
        small: the small form.
    """
    chosen = problem(name, small)
    return memory.fitting(
        chosen.batch, lambda batch: _with_batch(chosen, dtype, settings, batch, small)
    )


def _with_batch(
    chosen: Problem, dtype: str, settings: Sequence[str], batch: int, small: bool
) -> Figures:
    training = library.training(chosen, dtype, settings, batch)
    hyper = library.hyper(batch)
    state = library.first_state(library.first_weights(training.network, chosen.shape), hyper)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    lowered = jax.jit(training.step, donate_argnums=0).lower(state, hyper, training.inputs(0))
    compiled = lowered.compile()
    counted = memory.check_fits(compiled)
    number = 0

    def run(count: int) -> None:
        nonlocal state, number
        for _ in range(count):
            state, _ = compiled(state, hyper, training.inputs(number))
            number += 1
        jax.block_until_ready(state)

    timing = timed(run, small)
    needed = flops.TRAINING * flops.forward(training.network.backbone, chosen.shape)
    rate = batch / timing.median
    return timing.figures() | {
        "means": chosen.means,
        "dtype": dtype,
        "settings": list(settings),
        "batch": batch,
        "parameters": parameters,
        "images_per_second": rate,
        "flops_per_image": needed,
        "flops_per_step_counted": memory.operations(compiled),
        "flops_per_second": needed * rate,
        "mfu": utilisation(needed * rate, dtype),
        "bytes_counted": counted,
        "bytes_peak": memory.statistic("peak_bytes_in_use"),
    }


def utilisation(rate: float, dtype: str) -> float | None:
    """A rate of model operations as a share of what the device's maker says it does at most."""
    most = peak_of(jax.local_devices()[0].device_kind, dtype)
    return None if most is None else rate / most
