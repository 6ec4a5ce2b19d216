"""Runs solvers over given levels, with given draws of noise."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules import Schedule, rate
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers import Solver
from diffusion_jax.verification.exact_levels import with_clean
from tests.golden.padding import cut, pad, rows
from tests.golden.problems import Problem

__all__ = ["apart", "at_times", "nodes_at", "replay", "times_of", "with_clean"]

SHORTEST = 64  # steps that every run is padded to at least, so that few lengths are compiled


def nodes_at(alpha: Any, sigma: Any, time: Any = None) -> Nodes:
    """Nodes at given levels, for solvers that need no rates (nor, by default, times)."""
    level = Level(jnp.asarray(alpha, float), jnp.asarray(sigma, float))
    return Nodes(level.sigma if time is None else jnp.asarray(time, float), level, level)


def at_times(schedule: Schedule, time: Any) -> Nodes:
    """Nodes at given times of a schedule, in one compiled program for all numbers of them."""
    return cut(_at_times(schedule, rows(time)), len(time))


@jax.jit
def _at_times(schedule: Schedule, time: Array) -> Nodes:
    return Nodes(time, schedule.level(time), rate(schedule, time))


def times_of(schedule: Schedule, log_snr: Any) -> np.ndarray:
    """The times of given log-SNRs of a schedule."""
    return np.asarray(_times_of(schedule, rows(log_snr)))[: len(log_snr)]


@jax.jit
def _times_of(schedule: Schedule, log_snr: Array) -> Array:
    return schedule.time(log_snr)


@jax.jit
def _run(
    solver: Solver, data: Problem, nodes: Nodes, steps: Array, noise: Array, x: Array
) -> tuple[Any, Any]:
    # A problem that tells a variance has a denoiser of its own kind.
    denoise = getattr(data, "telling", data.denoise)

    def body(state, step):  # type: ignore[no-untyped-def]
        index, here, there, draws = step
        moved = solver.step(state, here, there, denoise, lambda k: draws[k])
        state = jax.tree.map(lambda new, old: jnp.where(index < steps, new, old), moved, state)
        return state, state

    # What a solver may ask of the whole grid it asks of one without padding.
    counted = Nodes(nodes.time, Level(nodes.level.alpha, _unpadded(nodes, steps)), nodes.rate)
    start = solver.init(x, counted)
    each = (jnp.arange(noise.shape[0]), nodes[:-1], nodes[1:], noise)
    return start, jax.lax.scan(body, start, each)[1]


def _unpadded(nodes: Nodes, steps: Array) -> Array:
    """Clean nodes for padding, but for the last: that is where the grid ends, clean or not."""
    index = jnp.arange(nodes.time.shape[0])
    return jnp.where((index < steps) | (index == index[-1]), nodes.level.sigma, 0)


def replay(solver: Solver, nodes: Nodes, data: Problem, x: Any, noise: Any = None) -> Any:
    """The solver's states after each step, stacked along a first axis.

    One compiled program serves all runs of a solver up to a length: shorter ones are padded with
    steps whose results are dropped.

    Args:
        solver: takes the steps.
        nodes: the levels, (steps + 1,), whether the last is clean or not.
        data: whose denoiser is exact.
        x: where to start, (batch, dim).
        noise: the draws of each step, (steps, draws, batch, dim), or (steps, batch, dim) where
            each step has but one; none by default.
    """
    steps = nodes.time.shape[0] - 1
    length = max(SHORTEST, 1 << (steps - 1).bit_length())
    x = jnp.asarray(x)
    drawn = np.zeros((steps, 1, *x.shape)) if noise is None else np.asarray(noise)
    drawn = drawn if drawn.ndim == x.ndim + 2 else drawn[:, None]
    padded = np.zeros((length, *drawn.shape[1:]))
    padded[:steps] = drawn[:steps]
    # The last node again and again: whatever a solver makes of such a step is dropped.
    nodes = jax.tree.map(lambda values: pad(values, length + 1), nodes)
    _, states = _run(solver, data, nodes, jnp.asarray(steps), jnp.asarray(padded), x)
    return jax.tree.map(lambda values: np.asarray(values)[:steps], states)


@jax.jit
def _apart(solver: Solver, data: Problem, here: Nodes, there: Nodes, noise: Array, x: Array) -> Any:
    def step(here: Nodes, there: Nodes, z: Array, x: Array) -> Any:
        ends = jax.tree.map(lambda *values: jnp.stack(values), here, there)
        return solver.step(solver.init(x, ends), here, there, data.denoise, lambda k: z[k])

    return jax.vmap(step)(here, there, noise, x)


def apart(
    solver: Solver, data: Problem, here: Nodes, there: Nodes, x: Any, noise: Any = None
) -> Any:
    """What each of many steps gives by itself, for solvers without a memory.

    Args:
        solver: takes the steps.
        data: whose denoiser is exact.
        here: where each step starts, (steps,).
        there: where it goes, (steps,).
        x: what it starts from, (steps, batch, dim).
        noise: its draws, (steps, draws, batch, dim), or (steps, batch, dim) where it has but one;
            zeros by default.
    """
    steps = len(x)
    length = max(SHORTEST, 1 << (steps - 1).bit_length())
    drawn = np.zeros_like(x) if noise is None else np.asarray(noise)
    drawn = drawn if drawn.ndim == x.ndim + 1 else drawn[:, None]
    padded = jax.tree.map(lambda values: pad(values, length), (here, there, drawn, x))
    found = _apart(solver, data, *padded)
    return jax.tree.map(lambda values: np.asarray(values)[:steps], found)
