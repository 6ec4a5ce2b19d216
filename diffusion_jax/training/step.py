"""The training step: one pure function, compiled once, called for every arm or mapped over arms.

What sets the arms of a comparison apart reaches the step as numbers: schedule, prediction, time
sampler and weighting as arrays of shape (B,), the `TrainingTargets` of `process.objective`;
learning rate, average and the loss's own settings as a `Hyper`. So arms with the same network run
the same program. Kinds of training that are more than that (few-step, loss-aware, a learned
schedule) are members of `TrainingMethod`, which the step asks without knowing them.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from diffusion_jax.networks.functions import AnyNetwork
from diffusion_jax.networks.score_network import drop_condition
from diffusion_jax.runs.state import TrainState
from diffusion_jax.training.ema import update
from diffusion_jax.training.hyper import Hyper
from diffusion_jax.training.inputs import Inputs

Metrics = dict[str, Float[Array, ""]]
# (parameters, the state that they are of, the arm's own, rows) → the loss of each row
SampleLosses = Callable[[PyTree[Any], TrainState, Hyper, PyTree[Any]], Float[Array, " batch"]]
TrainStep = Callable[[TrainState, Hyper, PyTree[Any]], tuple[TrainState, Metrics]]


def make_train_step(
    losses: SampleLosses,
    microbatches: int = 1,
    axis_name: str | None = None,
    constrained: Callable[[PyTree[Any]], PyTree[Any]] = lambda params: params,
) -> TrainStep:
    """Makes `step(state, hyper, inputs) -> (state, metrics)`, which minimises the mean of `losses`.

    Written for the global batch: under `jit` with the batch sharded over a mesh, XLA puts in the
    sums over devices. Where a program sees only its device's rows (`pmap`, `shard_map`), name the
    axis.

    Args:
        losses: `(params, state, hyper, inputs) -> (B,)`, the loss of each row; it is differentiated
            in `params`, which are those of `state`. See `score_losses`.
        microbatches: number of parts that the batch is taken in, one after the other, to save
            memory; must divide the batch size. The update is the same but for rounding.
        axis_name: the mapped axis over which the batch is split, if any.
        constrained: what a network does to its parameters after an update, such as normalising
            its filters; leaves them as they are by default.

    Returns:
        The step. `inputs` is a pytree whose leaves all have B rows; metrics are `loss`, the mean
        over the batch before the update, and `grad_norm`, the norm of its gradient before
        clipping.
    """

    def step(state: TrainState, hyper: Hyper, inputs: PyTree[Any]) -> tuple[TrainState, Metrics]:
        method = hyper.method
        if axis_name is not None and method.whole_batch:
            raise ValueError("an arm that chooses its noise levels must see the whole batch")
        inputs = method.prepare(state, inputs)

        def mean_loss(
            params: PyTree[Any], rows: PyTree[Any]
        ) -> tuple[Float[Array, ""], Float[Array, " batch"]]:
            each = losses(params, state, hyper, rows)
            return method.weigh(rows, each).mean(), each

        (loss, each), gradient = _mean_and_gradient(
            mean_loss, state.params, inputs, microbatches, axis_name
        )
        gradient = method.scale_gradient(gradient, loss)
        optimizer = hyper.optimizer.transformation()
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = constrained(optax.apply_updates(state.params, updates))
        count = state.step + 1
        ema = update(hyper.average, state.ema, params, count)
        history = method.remember(state.history, inputs, each)
        metrics = {"loss": loss, "grad_norm": optax.tree.norm(gradient)}
        return TrainState(count, params, opt_state, ema, history), metrics

    return step


def score_losses(network: AnyNetwork) -> SampleLosses:
    """The losses of an arm's own method, as the training step differentiates them.

    Args:
        network: called with the condition of each row, or its null value where `draws.drop` says
            so.

    Returns:
        `(params, state, hyper, Inputs) -> (B,)`.
    """

    def losses(
        params: PyTree[Any], state: TrainState, hyper: Hyper, inputs: Inputs
    ) -> Float[Array, " batch"]:
        condition = inputs.batch["condition"]
        shown = drop_condition(inputs.draws.drop, condition, network.null(condition))
        rows = dataclasses.replace(inputs, batch={**inputs.batch, "condition": shown})
        seen = dataclasses.replace(state, ema=hyper.whole(state.ema))
        return hyper.method.losses(network, hyper.whole(params), seen, rows)

    return losses


def _mean_and_gradient(
    mean_loss: Callable[[PyTree[Any], PyTree[Any]], tuple[Float[Array, ""], Float[Array, " rows"]]],
    params: PyTree[Any],
    inputs: PyTree[Any],
    microbatches: int,
    axis_name: str | None,
) -> tuple[tuple[Float[Array, ""], Float[Array, " batch"]], PyTree[Any]]:
    """((the mean over all rows, the loss of each row that is seen here), gradient of the mean)."""
    if axis_name is not None:
        # Parameters that count as equal on all devices would have their gradient summed over
        # them already inside `grad`, and the mean below would then be a sum.
        params = jax.lax.pcast(params, axis_name, to="varying")
    value_and_grad = jax.value_and_grad(mean_loss, has_aux=True)

    def of_rows(rows: PyTree[Any]) -> tuple[PyTree[Any], Float[Array, " rows"]]:
        (loss, own), gradient = value_and_grad(params, rows)
        return (loss, gradient), own

    if microbatches == 1:
        means, own = of_rows(inputs)
    else:
        means, own = _over_parts(of_rows, inputs, microbatches)
    loss, gradient = means if axis_name is None else jax.lax.pmean(means, axis_name)
    return (loss, own), gradient


def _over_parts(
    function: Callable[[PyTree[Any]], tuple[PyTree[Any], Array]], inputs: PyTree[Any], parts: int
) -> tuple[PyTree[Any], Array]:
    """What `function` says of `parts` equal parts of the rows of `inputs`.

    Part i has the rows i, i + parts, ...: each device's block of rows then gives as many to every
    part, and no row moves between devices.

    Returns:
        The mean over the parts of the first that it returns; the second, one for each row, in the
        order of the rows.
    """

    def deal(x: Array) -> Array:
        return jnp.moveaxis(x.reshape(x.shape[0] // parts, parts, *x.shape[1:]), 1, 0)

    def add(total: PyTree[Any], rows: PyTree[Any]) -> tuple[PyTree[Any], Array]:
        means, own = function(rows)
        return jax.tree.map(jnp.add, total, means), own

    dealt = jax.tree.map(deal, inputs)
    shapes, _ = jax.eval_shape(function, jax.tree.map(lambda x: x[0], dealt))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    # On CPU the gradient of a convolution inside a loop is 7 to 40 times slower: write it out.
    total, own = jax.lax.scan(add, zeros, dealt, unroll=jax.default_backend() == "cpu")
    return jax.tree.map(lambda x: x / parts, total), jnp.moveaxis(own, 0, 1).ravel()
