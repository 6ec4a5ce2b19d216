"""How fast deterministic solvers converge to the exact probability flow.

On Gaussian data the flow is known in closed form. A solver of order p halves its steps and
divides its error by 2^p, whatever the schedule and whatever a network predicts.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import predictions
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.loop import sample_from, sample_keys
from diffusion_jax.sampling.solvers import Solver
from diffusion_jax.verification.exact_levels import (
    AtNodes,
    between,
    order_of,
    stack,
    tabulated,
    thinned,
    through,
    with_clean,
)
from diffusion_jax.verification.oracles import Gaussian, GaussianMixture

MEAN, STD = (0.5, -0.3, 0.2), (0.3, 0.8, 1.5)  # of the data
SIGMA_DATA = 0.7  # what predictions that want to know take it for
LOW, HIGH = -4.0, 4.0  # log-SNR that all schedules reach
STEPS = (40, 80, 160)


@dataclasses.dataclass(frozen=True)
class Cases:
    """Every schedule through every prediction at every step count, stacked along a first axis.

    Attributes:
        names: (steps, schedule, prediction) of each.
        nodes: their levels, of one length.
        kinds: their predictions.
    """

    names: tuple[tuple[int, str, str], ...]
    nodes: Nodes
    kinds: AtNodes


def cases(
    schedule_specs: Sequence[str], prediction_specs: Sequence[str], steps: Sequence[int] = STEPS
) -> Cases:
    """Makes the cases; every step count must divide the largest."""
    names, nodes, kinds = [], [], []
    for spec in schedule_specs:
        schedule = schedules.make(spec)
        finest = between(schedule, LOW, HIGH, max(steps))
        for count in steps:
            # All of one length: the states before the clean end are what counts.
            found = with_clean(thinned(finest, max(steps) // count), max(steps) - count + 1)
            for prediction in prediction_specs:
                kind = predictions.make(prediction, schedule=schedule, sigma_data=SIGMA_DATA)
                names.append((count, spec, prediction))
                nodes.append(found)
                kinds.append(tabulated(kind, found))
    return Cases(tuple(names), stack(nodes), stack(kinds))


@jax.jit
def run(
    solver: Solver, data: Gaussian | GaussianMixture, nodes: Nodes, kinds: AtNodes, x: Array
) -> Array:
    """The states after each step, for stacked grids and predictions: (cases, steps, batch, dim)."""
    keys = sample_keys(jax.random.key(0), x.shape[-2])

    def one(nodes: Nodes, kind: AtNodes, x: Array) -> Array:
        denoise = through(kind, data.denoise)
        return sample_from(denoise, solver, nodes, x, keys, save=lambda state: state.x)[1]

    return jax.vmap(one)(nodes, kinds, x)


def errors(solver: Solver, cases: Cases) -> dict[tuple[str, str], dict[int, float]]:
    """Largest distance from the exact flow in x/alpha, at the last noisy level.

    Call it in double precision: in single, rounding hides the order.

    Args:
        solver: deterministic, with steps of the grid's.
        cases: see `cases`.

    Returns:
        (schedule, prediction) -> {steps: error}.
    """
    data = Gaussian(jnp.array(MEAN), jnp.array(STD))
    nodes = cases.nodes
    unit = jnp.asarray(np.random.default_rng(0).normal(size=(4, len(MEAN))))
    first = Level(nodes.level.alpha[:, 0], nodes.level.sigma[:, 0])
    x = jax.vmap(lambda level: level.alpha * data.mean + level.sigma * unit)(first)
    states = np.asarray(run(solver, data, nodes, cases.kinds, x))
    last = np.array([count for count, _, _ in cases.names])
    rows = np.arange(len(cases.names))
    arrived = Level(nodes.level.alpha[rows, last], nodes.level.sigma[rows, last])
    exact = np.asarray(jax.vmap(data.flow)(x, first, arrived))
    scale = np.asarray(arrived.alpha)[:, None, None]
    off = np.abs((states[rows, last - 1] - exact) / scale).max(axis=(1, 2))
    found: dict[tuple[str, str], dict[int, float]] = {}
    for (count, schedule, prediction), error in zip(cases.names, off, strict=True):
        found.setdefault((schedule, prediction), {})[count] = float(error)
    return found


def orders(found: Mapping[tuple[str, str], Mapping[int, float]]) -> dict[tuple[str, str], float]:
    """The measured order of each (schedule, prediction) from its errors."""
    return {
        case: float(order_of(list(by_steps.values()), list(by_steps)))
        for case, by_steps in found.items()
    }
