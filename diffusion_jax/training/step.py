"""The training step: one pure function, compiled once and called for every arm in turn.

What sets the arms of a comparison apart (schedule, prediction, distribution of noise levels,
weighting) reaches the step as arrays of shape (B,), the `Points` of `process.objective`. So arms
with the same network and optimiser run the same program.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from diffusion_jax.training.ema import Average, update
from diffusion_jax.training.state import TrainState

Metrics = dict[str, Float[Array, ""]]
SampleLosses = Callable[[PyTree[Any], PyTree[Any]], Float[Array, " batch"]]
TrainStep = Callable[[TrainState, PyTree[Any]], tuple[TrainState, Metrics]]


def make_train_step(
    losses: SampleLosses,
    optimizer: optax.GradientTransformation,
    average: Average,
    microbatches: int = 1,
    axis_name: str | None = None,
) -> TrainStep:
    """Makes `step(state, inputs) -> (state, metrics)`, which minimises the mean of `losses`.

    Written for the global batch: under `jit` with the batch sharded over a mesh, XLA puts in the
    sums over devices. Where a program sees only its device's rows (`pmap`, `shard_map`), name the
    axis.

    Args:
        losses: `(params, inputs) -> (B,)`, the loss of each row.
        optimizer: an optax transformation.
        average: how the running average of the parameters is formed.
        microbatches: number of parts that the batch is taken in, one after the other, to save
            memory; must divide the batch size. The update is the same but for rounding.
        axis_name: the mapped axis over which the batch is split, if any.

    Returns:
        The step. `inputs` is a pytree whose leaves all have B rows; metrics are `loss`, the mean
        over the batch before the update, and `grad_norm`, the norm of its gradient before
        clipping.
    """

    def step(state: TrainState, inputs: PyTree[Any]) -> tuple[TrainState, Metrics]:
        loss, gradient = _mean_and_gradient(losses, state.params, inputs, microbatches, axis_name)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        count = state.step + 1
        ema = update(average, state.ema, params, count)
        metrics = {"loss": loss, "grad_norm": optax.tree.norm(gradient)}
        return TrainState(count, params, opt_state, ema), metrics

    return step


def _mean_and_gradient(
    losses: SampleLosses,
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
