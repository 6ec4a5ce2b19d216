"""The one loop that runs every solver."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from diffusion_jax.errors import UserError
from diffusion_jax.process.denoiser import DenoiserLike, as_denoiser, denoises
from diffusion_jax.process.predictions import Prediction, determinant
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.base import AsksVariance, Solver
from diffusion_jax.sampling.solvers.consistency import Consistency
from diffusion_jax.sampling.solvers.jump import Jump
from diffusion_jax.sampling.solvers.restart import Restart

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


def _draw(keys: Key[Array, "batch"], index: Any, shape: tuple[int, ...], dtype: Any) -> Array:
    def one(key: Any) -> Array:
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


def check_start(nodes: Nodes, solver: Solver, prediction: Prediction | None = None) -> None:
    """Refuses a grid that a solver, or a prediction, cannot follow.

    Raises:
        UserError: the network is a consistency function, and the solver wants a denoiser.
        UserError: the grid goes back to more noise, and the solver is not `restart`.
        UserError: the first alpha is 0, and the solver needs sigma/alpha to be finite, or the
            prediction (epsilon, score) says nothing of x_0 there.
    """
    if bool(nodes.rises.any()) and not isinstance(solver, Restart):
        raise UserError(
            f"solver {type(solver).__name__} cannot follow a grid that goes back to more noise: "
            "use the solver 'restart', which takes another's steps."
        )
    if (
        prediction is not None
        and not denoises(prediction)
        and not isinstance(solver, (Consistency, Jump))
    ):
        raise UserError(
            f"solver {type(solver).__name__} wants a denoiser, and this network was trained to be "
            "a consistency function: use the solver 'jump' or 'consistency'."
        )
    first = nodes[0].level
    hint = "starts at alpha = 0: use the grid 'karras' or 'log_snr', or another"
    if solver.needs_signal and float(first.alpha) <= 0:
        raise UserError(
            f"solver {type(solver).__name__} needs some signal at its first node, and this grid "
            f"{hint} solver."
        )
    if prediction is not None and float(determinant(first, prediction)) == 0:
        raise UserError(
            f"prediction {type(prediction).__name__} says nothing of the data where no signal is "
            f"left, and this grid {hint} prediction."
        )


def check_variance(solver: Solver, variance: str | None) -> None:
    """Refuses a solver that asks for a variance that a network does not tell.

    Args:
        solver: takes the steps.
        variance: how to read what the network tells, see `process.denoiser.Denoiser`, or None.

    Raises:
        UserError: it tells none.
    """
    if isinstance(solver, AsksVariance) and solver.needs_variance and variance is None:
        raise UserError(
            f"solver {type(solver).__name__} asks for a learned variance, which only the losses "
            "'hybrid' and 'variational' teach: use variance=small, or train with one of them."
        )


def sample(
    denoise: DenoiserLike,
    solver: Solver,
    nodes: Nodes,
    x: Float[Array, "batch ..."],
    keys: Key[Array, "batch"],
    condition: Any = None,
    save: Callable[[Any], Any] | None = None,
) -> tuple[Float[Array, "batch ..."], Any]:
    """Runs the reverse process: one `lax.scan` over the steps of a grid.

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
    >>> x, _ = sample(data.denoise, solvers.make("heun"), nodes, prior(nodes, keys, (1,)), keys)
    >>> round(float(x.mean()), 1), round(float(x.std()), 1)
    (1.0, 0.5)
    """
    given = as_denoiser(denoise).with_condition(condition)

    def advance(state: Any, index: Array) -> Any:
        here, there = nodes[index], nodes[index + 1]
        step_keys = jax.vmap(jax.random.fold_in, (0, None))(keys, index)
        return solver.step(
            state,
            here,
            there,
            given,
            lambda k: _draw(step_keys, k, x.shape[1:], x.dtype),
        )

    def body(state: Any, index: Array) -> tuple[Any, Any]:
        # Steps that start from clean data are padding.
        state = jax.lax.cond(nodes.moves[index], advance, lambda state, index: state, state, index)
        return state, save(state) if save else None

    state, saved = jax.lax.scan(body, solver.init(x, nodes), jnp.arange(nodes.time.shape[0] - 1))
    return state.x, saved
