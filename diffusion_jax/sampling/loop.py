"""The one loop that runs every solver."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key, PyTree

from diffusion_jax.process.denoiser import DenoiserLike, as_denoiser
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import Solver, State

# `fold_in` data for the start; steps fold in their index, which is never as large.
_START = 2**31 - 1


@functools.partial(jax.jit, static_argnames="count")
def sample_keys(
    key: Key[Array, ""], count: int, first: int | Int[Array, ""] = 0
) -> Key[Array, "count"]:
    """One key per sample: sample i of a key is the same whatever the batch and the devices.

    Args:
        key: the seed of all samples.
        count: number of samples in this batch.
        first: index of the first of them.

    >>> import jax
    >>> whole = sample_keys(jax.random.key(0), 4)
    >>> bool((whole[2:] == sample_keys(jax.random.key(0), 2, first=2)).all())
    True
    """
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(first + jnp.arange(count))


def _draw(
    keys: Key[Array, "batch"], index: int | Int[Array, ""], shape: tuple[int, ...], dtype: DTypeLike
) -> Array:
    def one(key: Key[Array, ""]) -> Array:
        return jax.random.normal(jax.random.fold_in(key, index), shape, dtype)

    return jax.vmap(one)(keys)


def prior(
    nodes: Nodes, keys: Key[Array, "batch"], shape: tuple[int, ...]
) -> Float[Array, "batch ..."]:
    """Draws the noise that a reverse process starts from: N(0, sigma²) at the first node.

    Args:
        nodes: the grid; its first level gives the scale (1 for variance-preserving processes, 80
            for EDM's).
        keys: one per sample, see `sample_keys`.
        shape: of one sample.
    """
    return nodes.level.sigma[0] * _draw(keys, _START, shape, nodes.level.sigma.dtype)


def sample_from(
    denoise: DenoiserLike,
    solver: Solver,
    nodes: Nodes,
    x: Float[Array, "batch ..."],
    keys: Key[Array, "batch"],
    condition: PyTree = None,
    save: Callable[[State], PyTree] | None = None,
) -> tuple[Float[Array, "batch ..."], PyTree]:
    """Runs the reverse process from a given start: one `lax.scan` over the steps of a grid.

    `sample` draws the start and the keys itself, and checks what it is given.

    Args:
        denoise: (x, level, condition) → E[x_0 | x].
        solver: takes the steps.
        nodes: the levels, (steps + 1,), possibly padded (`Nodes.pad`).
        x: where to start, (batch, ...), see `prior`.
        keys: one per sample, for solvers that draw noise.
        condition: handed to `denoise`.
        save: what to keep of the solver's state after each step (`lambda s: s.x`); default nothing.

    Returns:
        The samples, (batch, ...), and what was saved, stacked along a first axis of steps.

    >>> from diffusion_jax.verification.oracles import Gaussian
    >>> from diffusion_jax.process.schedules import schedules
    >>> from diffusion_jax.sampling.grids import Karras
    >>> from diffusion_jax.sampling.solvers import solvers
    >>> nodes = Karras()(schedules.make("edm"), 20)
    >>> keys = sample_keys(jax.random.key(0), 1000)
    >>> data = Gaussian(mean=jnp.array([1.0]), std=jnp.array([0.5]))
    >>> start = prior(nodes, keys, (1,))
    >>> x, _ = sample_from(data.denoise, solvers.make("heun"), nodes, start, keys)
    >>> round(float(x.mean()), 1), round(float(x.std()), 1)
    (1.0, 0.5)
    """
    given = as_denoiser(denoise).with_condition(condition)
    solver = solver.for_denoiser(given)

    def advance(state: State, index: Array) -> State:
        here, there = nodes[index], nodes[index + 1]
        step_keys = jax.vmap(jax.random.fold_in, (0, None))(keys, index)
        return solver.step(
            state,
            here,
            there,
            given,
            lambda k: _draw(step_keys, k, x.shape[1:], x.dtype),
        )

    def body(state: State, index: Array) -> tuple[State, PyTree]:
        # Steps that start from clean data are padding.
        state = jax.lax.cond(nodes.moves[index], advance, lambda state, index: state, state, index)
        return state, save(state) if save else None

    state, saved = jax.lax.scan(body, solver.init(x, nodes), jnp.arange(nodes.time.shape[0] - 1))
    return state.x, saved
