"""The training step: the same update however the batch is split."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec

from diffusion_jax.networks.initialise import initialise
from diffusion_jax.networks.score_network import build
from diffusion_jax.parallel.devices import AXIS, by_rows, data_mesh, replicated
from diffusion_jax.runs.state import TrainState
from diffusion_jax.training.ema import averages
from diffusion_jax.training.hyper import Hyper
from diffusion_jax.training.optimizers import optimizers
from diffusion_jax.training.step import make_train_step

ROWS, FEATURES = 16, 5
ROWS_OF_1 = jnp.ones((ROWS, 1))


def losses(
    params: dict[str, jax.Array], state: TrainState, hyper: Hyper, inputs: dict[str, jax.Array]
) -> jax.Array:
    return row_losses(params, inputs)


def row_losses(params: dict[str, jax.Array], inputs: dict[str, jax.Array]) -> jax.Array:
    hidden = jnp.tanh(inputs["x"] @ params["w"])
    return inputs["weight"] * ((hidden @ params["v"] - inputs["y"]) ** 2).mean(-1)


def problem() -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    keys = jax.random.split(jax.random.key(0), 5)
    params = {
        "w": jax.random.normal(keys[0], (FEATURES, 7)),
        "v": jax.random.normal(keys[1], (7, 2)),
    }
    inputs = {
        "x": jax.random.normal(keys[2], (ROWS, FEATURES)),
        "y": jax.random.normal(keys[3], (ROWS, 2)),
        # Rows count very differently, so that a mean of the wrong thing shows.
        "weight": jnp.exp(2 * jax.random.normal(keys[4], (ROWS,))),
    }
    return params, inputs


# Plain gradient descent: Adam would hide a gradient that is wrong by a factor.
OPTIMIZER = optimizers.make("sgd(learning_rate=0.1, momentum=0.5)", steps=10)
HYPER = Hyper(OPTIMIZER, averages.make("decay(decay=0.5)"))
make = partial(make_train_step, losses)


def reference(steps: int = 2) -> TrainState:
    """The same updates written out, with the mean over rows taken by hand."""
    params, inputs = problem()
    trace: Any = jax.tree.map(jnp.zeros_like, params)
    history = []
    for _ in range(steps):
        rows = [jax.tree.map(lambda x, i=i: x[i : i + 1], inputs) for i in range(ROWS)]
        gradients = [jax.grad(lambda p, r=row: row_losses(p, r)[0])(params) for row in rows]
        mean = jax.tree.map(lambda *g: sum(g) / ROWS, *gradients)
        trace = jax.tree.map(lambda t, g: 0.5 * t + g, trace, mean)
        params = jax.tree.map(lambda p, t: p - 0.1 * t, params, trace)
        history.append(params)
    # Decay 0.5 over two updates: weights 1/3 and 2/3.
    ema = jax.tree.map(lambda a, b: a / 3 + 2 * b / 3, *history)
    return TrainState(jnp.int32(steps), params, (), ema)


def close(state: TrainState, expected: TrainState) -> None:
    assert int(state.step) == int(expected.step)
    for part in ("params", "ema"):
        jax.tree.map(
            partial(np.testing.assert_allclose, rtol=2e-5, atol=1e-6),
            getattr(state, part),
            getattr(expected, part),
        )


def repeat(step: Any, inputs: Any, state: TrainState) -> TrainState:
    for _ in range(2):
        state, metrics = step(state, HYPER, inputs)
    assert set(metrics) == {"loss", "grad_norm"}
    return state


@pytest.mark.parametrize("microbatches", [1, 2, 16])
def test_microbatches_give_the_update_of_the_whole_batch(microbatches: int) -> None:
    params, inputs = problem()
    step = jax.jit(make(microbatches=microbatches))
    close(repeat(step, inputs, TrainState.create(params, OPTIMIZER.transformation())), reference())


@pytest.mark.parametrize(("count", "microbatches"), [(1, 1), (8, 1), (8, 2)])
def test_any_number_of_devices_gives_the_same_update(count: int, microbatches: int) -> None:
    params, inputs = problem()
    mesh = data_mesh(jax.devices()[:count])
    state = jax.device_put(TrainState.create(params, OPTIMIZER.transformation()), replicated(mesh))
    step = jax.jit(make(microbatches=microbatches), out_shardings=replicated(mesh))
    state = repeat(step, jax.device_put(inputs, by_rows(mesh)), state)
    close(state, reference())
    assert all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(state))


def test_the_same_step_under_pmap_gives_the_same_update() -> None:
    params, inputs = problem()
    state = TrainState.create(params, OPTIMIZER.transformation())
    copies = jax.tree.map(lambda x: jnp.broadcast_to(x, (8, *x.shape)), state)
    shares = jax.tree.map(lambda x: x.reshape(8, ROWS // 8, *x.shape[1:]), inputs)
    mapped = jax.pmap(make(axis_name=AXIS), axis_name=AXIS, in_axes=(0, None, 0))
    copies = repeat(mapped, shares, copies)
    for device in (0, 7):
        close(jax.tree.map(lambda x, i=device: x[i], copies), reference())


@pytest.mark.parametrize("check", [True, False])
def test_the_same_step_under_shard_map_gives_the_same_update(check: bool) -> None:
    params, inputs = problem()
    mapped = jax.shard_map(
        make(axis_name=AXIS),
        mesh=data_mesh(),
        in_specs=(PartitionSpec(), PartitionSpec(), PartitionSpec(AXIS)),
        out_specs=PartitionSpec(),
        check_vma=check,
    )
    close(
        repeat(jax.jit(mapped), inputs, TrainState.create(params, OPTIMIZER.transformation())),
        reference(),
    )


def test_a_network_has_the_last_word_on_its_parameters() -> None:
    """EDM2's filters are normalised after each update, its gains and other parts are not."""
    network = build("edm2_unet(model_channels=8, channel_mult=(1,), num_blocks=1)", uncertain=True)
    params = initialise(network, jax.random.key(0), (4, 4, 1), {})

    def wrong(params: Any, *_: Any) -> jax.Array:
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(params)) * jnp.ones(ROWS)

    step = make_train_step(wrong, constrained=network.constrained)
    state, _ = step(TrainState.create(params, OPTIMIZER.transformation()), HYPER, {"x": ROWS_OF_1})
    for path, leaf in jax.tree_util.tree_leaves_with_path(state.params):
        if path[-1].key == "kernel":
            square = jnp.mean(leaf**2, axis=tuple(range(leaf.ndim - 1)))
            np.testing.assert_allclose(square, 1, rtol=1e-3)
    heads = state.params["backbone"]["out_gain"], state.params["uncertainty"]["logvar_linear"]
    np.testing.assert_allclose(heads[0], -0.1, rtol=1e-5)
    assert heads[1]["kernel"].shape == (128, 1)


def test_metrics_are_those_of_the_whole_batch_before_the_update() -> None:
    params, inputs = problem()
    state = TrainState.create(params, OPTIMIZER.transformation())
    _, metrics = jax.jit(make(microbatches=4))(state, HYPER, inputs)
    gradient = jax.grad(lambda p: row_losses(p, inputs).mean())(params)
    assert float(metrics["loss"]) == pytest.approx(
        float(row_losses(params, inputs).mean()), rel=1e-5
    )
    assert float(metrics["grad_norm"]) == pytest.approx(float(optax.tree.norm(gradient)), rel=1e-5)
