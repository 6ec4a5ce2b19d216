"""The training step: one pure function, compiled once, called for every arm or mapped over arms.

What sets the arms of a comparison apart reaches the step as numbers: schedule, prediction,
distribution of noise levels and weighting as arrays of shape (B,), the `Points` of
`process.objective`; learning rate, average and the loss's own settings as a `Hyper`. So arms with
the same network run the same program.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from diffusion_jax.training.ema import update
from diffusion_jax.training.hyper import Hyper
from diffusion_jax.training.state import TrainState

Metrics = dict[str, Float[Array, ""]]
# (parameters, the state that they are of, the arm's own, rows) → the loss of each row
SampleLosses = Callable[[PyTree[Any], TrainState, Hyper, PyTree[Any]], Float[Array, " batch"]]
TrainStep = Callable[[TrainState, Hyper, PyTree[Any]], tuple[TrainState, Metrics]]


def make_train_step(
    losses: SampleLosses, microbatches: int = 1, axis_name: str | None = None
) -> TrainStep:
    """Makes `step(state, hyper, inputs) -> (state, metrics)`, which minimises the mean of `losses`.

    Written for the global batch: under `jit` with the batch sharded over a mesh, XLA puts in the
    sums over devices. Where a program sees only its device's rows (`pmap`, `shard_map`), name the
    axis.

    Args:
        losses: `(params, state, hyper, inputs) -> (B,)`, the loss of each row; it is differentiated
            in `params`, which are those of `state`.
        microbatches: number of parts that the batch is taken in, one after the other, to save
            memory; must divide the batch size. The update is the same but for rounding.
        axis_name: the mapped axis over which the batch is split, if any.

    Returns:
        The step. `inputs` is a pytree whose leaves all have B rows; metrics are `loss`, the mean
        over the batch before the update, and `grad_norm`, the norm of its gradient before
        clipping.
    """

    def step(state: TrainState, hyper: Hyper, inputs: PyTree[Any]) -> tuple[TrainState, Metrics]:
        def row_losses(params: PyTree[Any], rows: PyTree[Any]) -> Float[Array, " batch"]:
            return losses(params, state, hyper, rows)

        loss, gradient = _mean_and_gradient(
            row_losses, state.params, inputs, microbatches, axis_name
        )
        optimizer = hyper.optimizer.transformation()
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        count = state.step + 1
        ema = update(hyper.average, state.ema, params, count)
        metrics = {"loss": loss, "grad_norm": optax.tree.norm(gradient)}
        return TrainState(count, params, opt_state, ema), metrics

    return step


def _mean_and_gradient(
    losses: Callable[[PyTree[Any], PyTree[Any]], Float[Array, " batch"]],
    params: PyTree[Any],
    inputs: PyTree[Any],
    microbatches: int,
    axis_name: str | None,
) -> tuple[Float[Array, ""], PyTree[Any]]:
    """The mean of `losses` over all rows, and its gradient in `params`."""
    if axis_name is not None:
        # Parameters that count as equal on all devices would have their gradient summed over
        # them already inside `grad`, and the mean below would then be a sum.
        params = jax.lax.pcast(params, axis_name, to="varying")
    value_and_grad = jax.value_and_grad(lambda params, rows: losses(params, rows).mean())
    if microbatches == 1:
        result = value_and_grad(params, inputs)
    else:
        result = _mean_over_parts(lambda rows: value_and_grad(params, rows), inputs, microbatches)
    return result if axis_name is None else jax.lax.pmean(result, axis_name)


def _mean_over_parts(
    function: Callable[[PyTree[Any]], PyTree[Any]], inputs: PyTree[Any], parts: int
) -> PyTree[Any]:
    """The mean of `function` over `parts` equal parts of the rows of `inputs`.

    Part i has the rows i, i + parts, ...: each device's block of rows then gives as many to every
    part, and no row moves between devices.
    """

    def deal(x: Array) -> Array:
        return jnp.moveaxis(x.reshape(x.shape[0] // parts, parts, *x.shape[1:]), 1, 0)

    def add(total: PyTree[Any], rows: PyTree[Any]) -> tuple[PyTree[Any], None]:
        return jax.tree.map(jnp.add, total, function(rows)), None

    dealt = jax.tree.map(deal, inputs)
    shapes = jax.eval_shape(function, jax.tree.map(lambda x: x[0], dealt))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    # On CPU the gradient of a convolution inside a loop is 7 to 40 times slower: write it out.
    total, _ = jax.lax.scan(add, zeros, dealt, unroll=jax.default_backend() == "cpu")
    return jax.tree.map(lambda x: x / parts, total)
