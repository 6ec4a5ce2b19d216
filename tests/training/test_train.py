"""Training from Python: own networks, optimizers and data, and runs that go on."""

from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from diffusion_jax.errors import UserError
from diffusion_jax.process.objective import Objective
from diffusion_jax.training.arm import Arm
from diffusion_jax.training.load import load_run
from diffusion_jax.training.train import train
from diffusion_jax.training.trained import load_arms

OBJECTIVE = Objective.make("cosine", "x0")
ANGLES = np.linspace(0, 6, 64)
RING = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1).astype(np.float32)
DATA = (RING, {"angle": ANGLES})


class Net(nn.Module):
    """A linen module of one's own, with an initialiser of its own."""

    @nn.compact
    def __call__(self, x: jax.Array, c_noise: jax.Array, condition: Any) -> jax.Array:
        told = jnp.stack([c_noise, condition["angle"]], 1)
        hidden = nn.tanh(
            nn.Dense(8, name="in", kernel_init=nn.initializers.constant(0.25))(
                jnp.concatenate([x, told], 1)
            )
        )
        return nn.Dense(2, name="out")(hidden)


class NnxNet(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.layer = nnx.Linear(3, 2, rngs=rngs)

    def __call__(self, x: jax.Array, c_noise: jax.Array, condition: Any) -> jax.Array:
        return self.layer(jnp.concatenate([x, c_noise[:, None]], 1))


def nnx_pair() -> tuple[Any, Any]:
    graph = nnx.split(nnx.eval_shape(lambda: NnxNet(nnx.Rngs(0))))[0]
    return (
        lambda key, x0, condition: nnx.split(NnxNet(nnx.Rngs(key)))[1],
        lambda params, x, c, condition, key: nnx.merge(graph, params)(x, c, condition),
    )


def linear(rate: float = 0.1, name: str = "linear") -> Arm:
    def init(key: jax.Array, x0: jax.Array, condition: Any) -> dict[str, jax.Array]:
        return {"w": jax.random.normal(key, (x0.shape[1], 2)), "b": jnp.zeros(2)}

    def apply(params: Any, x: jax.Array, c_noise: Any, condition: Any, key: Any) -> jax.Array:
        return x @ params["w"] + params["b"]

    return Arm(name, OBJECTIVE, (init, apply), optimizer=optax.sgd(rate, momentum=0.9), ema="none")


def leaves(arm: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(arm.params)]


@pytest.mark.usefixtures("one_device")
def test_a_function_is_trained_to_the_mean_that_it_can_only_say() -> None:
    """Shown all data in every batch, a constant x0-prediction goes to their mean by halves."""

    def init(key: jax.Array, x0: jax.Array, condition: Any) -> jax.Array:
        return jnp.full(x0.shape[1:], 3.0)

    def apply(params: Any, x: jax.Array, c_noise: Any, condition: Any, key: Any) -> jax.Array:
        return params + 0 * x

    arm = Arm("mean", OBJECTIVE, (init, apply), optimizer=optax.sgd(0.5), ema="none")
    found = train(arm, RING, steps=12, batch_size=64)["mean"]
    np.testing.assert_allclose(found.params, RING.mean(0) + (3 - RING.mean(0)) / 2**12, atol=1e-5)
    assert found.step == 12


@pytest.mark.usefixtures("one_device")
def test_linen_and_nnx_modules_and_a_condition_of_ones_own() -> None:
    arms = [
        Arm("linen", OBJECTIVE, Net(), optimizer=optax.adam(1e-2)),
        Arm("nnx", OBJECTIVE, nnx_pair(), optimizer="adam(learning_rate=1e-2)"),
    ]
    seen: list[int] = []
    found = train(
        arms,
        DATA,
        steps=4,
        batch_size=16,
        checkpoint_every=2,
        watch=lambda step, _: seen.append(step),
    )
    assert seen == [2, 4]
    level = OBJECTIVE.schedule.level(jnp.asarray(0.5))
    for name, arm in found.items():
        condition = {"angle": jnp.zeros(3)} if name == "linen" else {}
        assert arm.denoiser()(jnp.ones((3, 2)), level, condition).shape == (3, 2)
    # Its own initialiser decided where it began: after so few steps it is still near.
    assert np.abs(found["linen"].params["in"]["kernel"] - 0.25).max() < 0.1


def test_a_modules_own_first_values_are_those_that_training_starts_from() -> None:
    """Two arms that share what was made for them, over all devices, at a learning rate of 0."""
    places = jnp.arange(2.0)

    class Known(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array, c_noise: jax.Array, condition: Any) -> jax.Array:
            x = x + self.param("pos_embed", nn.initializers.normal(3.0), (2,))
            x = x + self.param("places", lambda key: places) * c_noise[:, None]
            return nn.Dense(2, kernel_init=nn.initializers.constant(7), name="out")(x)

    network = Known()
    arms = [Arm(name, OBJECTIVE, network, optimizer=optax.sgd(0.0)) for name in ("a", "b")]
    found = train(arms, RING, steps=1, batch_size=8, seed=3)
    key = jax.random.fold_in(jax.random.key(3), 0)
    own = network.init(key, jnp.zeros((1, 2)), jnp.zeros(1), {})["params"]
    for arm in found.values():
        np.testing.assert_array_equal(arm.params["out"]["kernel"], np.full((2, 2), 7))
        np.testing.assert_array_equal(arm.params["places"], [0, 1])
        np.testing.assert_allclose(arm.params["pos_embed"], own["pos_embed"], rtol=1e-6)
    assert places.tolist() == [0, 1]  # no step took the module's own array


@pytest.mark.usefixtures("one_device")
def test_a_run_that_was_cut_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    def run(folder: str, **more: Any) -> Any:
        arms = (linear(), linear(0.01, "slow"))
        options = {"steps": 6, "batch_size": 8, "checkpoint_every": 2, **more}
        return train(arms, DATA, run_dir=tmp_path / folder, **options)

    class Cut(Exception):
        pass

    def cut(step: int, arms: Any) -> None:
        if step == 4:
            raise Cut

    whole = run("whole")
    with pytest.raises(Cut):
        run("cut", watch=cut)
    again = run("cut")
    free = train((linear(), linear(0.01, "slow")), DATA, steps=6, batch_size=8)
    for name, arm in whole.items():
        for one, two, three in zip(
            leaves(arm), leaves(again[name]), leaves(free[name]), strict=True
        ):
            np.testing.assert_array_equal(one, two)
            np.testing.assert_array_equal(one, three)

    loaded = load_run(tmp_path / "cut", arms=(linear(), linear(0.01, "slow")))
    assert list(loaded.arms) == ["linear", "slow"] and loaded.config.seed == 0
    np.testing.assert_array_equal(leaves(loaded.arms["slow"])[0], leaves(whole["slow"])[0])
    assert loaded.denoiser("slow") is not None
    with pytest.raises(UserError, match=r"Python objects.*dj\.load_run\(.*arms=…\)\.$"):
        load_arms(tmp_path / "cut")
    with pytest.raises(UserError, match="slow"):
        load_run(tmp_path / "cut", arms=linear())
    with pytest.raises(UserError, match="holds a run with"):
        train(
            (linear(0.2), linear(0.01, "slow")),
            DATA,
            steps=6,
            batch_size=8,
            checkpoint_every=2,
            run_dir=tmp_path / "cut",
        )


class Hiding(nnx.Module):
    """Predicts its only parameter, and counts the rows whose angle is hidden."""

    def __init__(self) -> None:
        self.value = nnx.Param(jnp.zeros(2))

    def __call__(self, x: jax.Array, c_noise: jax.Array, condition: Any) -> jax.Array:
        return jnp.where(condition["known"][:, None], 0.0, self.value[...]) + 0 * x

    def null(self, condition: Any) -> Any:
        return condition | {"known": jnp.zeros_like(condition["known"])}


def test_a_module_with_a_null_is_shown_it() -> None:
    ones = np.ones((64, 2), np.float32)
    data = (ones, {"known": np.ones(64, bool)})
    arm = Arm("hiding", OBJECTIVE, Hiding(), optimizer=optax.sgd(0.5), ema="none")
    for dropout, wanted in ((0.0, 0.0), (1.0, 1.0)):
        trained = train(arm, data, steps=30, batch_size=16, condition_dropout=dropout)
        found = trained["hiding"].params["value"]
        assert np.allclose(found, wanted, atol=0.02), dropout


def test_what_cannot_be_trained_is_told_in_a_line() -> None:
    with pytest.raises(UserError, match="no network that can be trained"):
        Arm("a", OBJECTIVE, 3)
    with pytest.raises(UserError, match="no data to train on"):
        train(linear(), 3, steps=1, batch_size=8)
    with pytest.raises(UserError, match="Two arms have one name"):
        train([linear(), linear()], RING, steps=1, batch_size=8)
    with pytest.raises(UserError, match="what says nothing"):
        train(linear(), DATA, steps=1, batch_size=8, condition_dropout=0.1)
