"""What can be known before a solver runs: whether it can follow a grid with a denoiser."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from diffusion_jax.errors import UserError
from diffusion_jax.process.denoiser import Denoiser, denoises
from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import Prediction, determinant
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers import Solver


def check_run(denoiser: Denoiser, solver: Solver, nodes: Nodes) -> None:
    """Refuses a denoiser, a solver and a grid that do not go together.

    Nodes that are traced cannot be judged and pass.

    Raises:
        UserError: see `check_start` and `check_variance`; or the denoiser is a consistency
            function, and the solver wants a denoiser.
    """
    if not denoiser.denoises:
        _check_takes_consistency(solver)
    check_variance(solver, denoiser.variance)
    check_start(nodes, solver, denoiser.prediction)


def check_start(nodes: Nodes, solver: Solver, prediction: Prediction | None = None) -> None:
    """Refuses a grid that a solver, or a prediction, cannot follow.

    Args:
        nodes: the grid; traced ones cannot be judged and pass.
        solver: takes the steps.
        prediction: of the network, if there is one; a traced one passes as well.

    Raises:
        UserError: the network is a consistency function, and the solver wants a denoiser.
        UserError: the grid goes back to more noise, and the solver is not `restart`.
        UserError: the first alpha is 0, and the solver needs sigma/alpha to be finite, or the
            prediction (epsilon, score) says nothing of x_0 there.
    """
    if prediction is not None and not denoises(prediction):
        _check_takes_consistency(solver)
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(nodes)):
        return
    with jax.ensure_compile_time_eval():  # also within a program that holds the grid
        _check_levels(nodes, solver, prediction)


def _check_levels(nodes: Nodes, solver: Solver, prediction: Prediction | None) -> None:
    if bool(nodes.rises.any()) and not solver.goes_back:
        raise UserError(
            f"solver {type(solver).__name__} cannot follow a grid that goes back to more noise: "
            "use the solver 'restart', which takes another's steps."
        )
    first = nodes[0].level
    hint = "starts at alpha = 0: use the grid 'karras' or 'log_snr', or another"
    if solver.needs_signal and float(first.alpha) <= 0:
        raise UserError(
            f"solver {type(solver).__name__} needs some signal at its first node, and this grid "
            f"{hint} solver."
        )
    check_tells(prediction, first, f"this grid {hint} prediction")


def check_tells(
    prediction: Prediction | None,
    level: Level,
    where: str = "the schedule ends there: use another schedule, or another prediction",
) -> None:
    """Refuses a prediction that says nothing of x_0 at a level, if both are known by now.

    Args:
        prediction: of a network; None for a denoiser that is none.
        level: the noisiest one, scalars.
        where: it is, and what would be right.

    Raises:
        UserError: it says nothing there.
    """
    leaves = jax.tree.leaves((prediction, level))
    if prediction is None or any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
        return
    with jax.ensure_compile_time_eval():
        blind = float(determinant(level, prediction)) == 0
    if blind:
        raise UserError(
            f"prediction {type(prediction).__name__} says nothing of the data where no signal is "
            f"left, and {where}."
        )


def check_variance(solver: Solver, variance: str | None) -> None:
    """Refuses a solver that asks for a variance that a denoiser does not tell.

    Args:
        solver: takes the steps.
        variance: how to read what the denoiser tells, see `process.denoiser.Denoiser`, or None.

    Raises:
        UserError: it tells none.
    """
    if solver.needs_variance and variance is None:
        raise UserError(
            f"solver {type(solver).__name__} asks for a learned variance, which only the losses "
            "'hybrid' and 'variational' teach: use variance=small, or train with one of them."
        )


def check_solver(solver: object) -> None:
    """Refuses what is no solver, such as a spec, or one that cannot go into a compiled sampler.

    Raises:
        UserError: it is none, or no pytree.
    """
    if not isinstance(solver, Solver):
        raise UserError(
            f"the solver must be one of dj.solvers, such as dj.solvers.DPMpp2M(), not {solver!r}: "
            "one of your own is a subclass of dj.solvers.OneStep or dj.solvers.Multistep."
        )
    if any(leaf is solver for leaf in jax.tree.leaves(solver)):
        raise UserError(
            f"solver {type(solver).__name__} is no pytree: put @diffusion_jax.struct.pytree above "
            "its class."
        )


def check_parts(solver: object, nodes: object) -> None:
    """Refuses what is no solver or no grid's nodes, such as a spec or a grid itself.

    Raises:
        UserError: it is none.
    """
    check_solver(solver)
    if not isinstance(nodes, Nodes) or nodes.time.ndim != 1 or nodes.time.shape[0] < 2:
        raise UserError(
            "the nodes must be those of a grid over a schedule, such as "
            f"dj.grids.Karras()(schedule, 20), not {type(nodes).__name__}."
        )


def check_rows(condition: PyTree, batch: int, what: str = "condition") -> None:
    """Refuses a condition, or what else it is, without a row for each sample.

    Raises:
        UserError: an array of it has another number of rows.
    """
    for path, values in jax.tree.leaves_with_path(condition):
        shape = tuple(getattr(values, "shape", ()))
        if shape[:1] != (batch,):
            raise UserError(
                f"{what}{jax.tree_util.keystr(path)} must have a row for each of the {batch} "
                f"samples, and has shape {shape}."
            )


def check_shape(shape: object) -> None:
    """Refuses a shape of samples that has no batch axis.

    Raises:
        UserError: fewer than two axes, or one of no length.
    """
    sizes = shape if isinstance(shape, tuple | list) else ()
    if len(sizes) < 2 or not all(isinstance(size, int) and size >= 1 for size in sizes):
        raise UserError(
            "shape must be that of all samples, the batch axis first, such as (16, 32, 32, 3), "
            f"not {shape!r}."
        )


def check_samples(x0: object) -> None:
    """Refuses what is no batch of samples, for functions that start from data.

    Raises:
        UserError: no array of floats with a batch axis, or, as far as is known by now, numbers
            that are not finite.
    """
    dtype: Any = getattr(x0, "dtype", None)
    shape: tuple[int, ...] = getattr(x0, "shape", ())
    if dtype is None:
        raise UserError(f"x0 must be an array of shape (batch, ...), not a {type(x0).__name__}.")
    if not jnp.issubdtype(dtype, jnp.floating) or len(shape) < 2:
        raise UserError(
            f"x0 must be floats of shape (batch, ...), such as pictures in [-1, 1], not {dtype} of "
            f"shape {shape}."
        )
    if isinstance(x0, jax.core.Tracer):
        return
    with jax.ensure_compile_time_eval():
        finite = jnp.isfinite(jnp.asarray(x0)).reshape(shape[0], -1).all(axis=1)
        lost = int((~finite).sum())
    if lost:
        raise UserError(f"x0 has numbers that are not finite, in {lost} of {shape[0]} samples.")


def one_key(key: Array | None) -> Key[Array, ""]:
    """One key of JAX's random numbers, of the new type or the old.

    Raises:
        UserError: something else, such as a seed, or several of them.
    """
    if not isinstance(key, jax.Array):
        raise UserError(f"key must be a jax.random.key, not {key!r}.")
    if not jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key):
        if key.shape != (2,):
            raise UserError(f"key must be one jax.random.key, not an array of shape {key.shape}.")
        key = jax.random.wrap_key_data(key)
    if key.shape != ():
        raise UserError(f"key must be one jax.random.key, not {key.shape[0]} of them.")
    return key


def _check_takes_consistency(solver: Solver) -> None:
    if not solver.takes_consistency:
        raise UserError(
            f"solver {type(solver).__name__} wants a denoiser, and this network was trained to be "
            "a consistency function: use the solver 'jump' or 'consistency'."
        )
