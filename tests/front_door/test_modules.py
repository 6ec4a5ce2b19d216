"""`dj.train` takes modules that hold their own parameters: flax nnx and Equinox."""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jaxtyping import Array

import diffusion_jax as dj

SCHEDULE = dj.schedules.Cosine()
OBJECTIVE = dj.Objective(SCHEDULE, dj.predictions.EDM(), dj.time_samplers.LogNormal())
POINT = np.float32([0.6, -0.3])
DATA = np.tile(POINT, (64, 1))


def features(x: Array, c_noise: Array) -> Array:
    return jnp.hstack([x, jnp.cos(c_noise[..., None] * jnp.arange(4))])


class OwnNnx(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.hidden, self.out = nnx.Linear(6, 64, rngs=rngs), nnx.Linear(64, 2, rngs=rngs)

    def __call__(self, x: Array, c_noise: Array, condition: Any) -> Array:
        return self.out(nnx.silu(self.hidden(features(x, c_noise))))


class OwnEquinox(eqx.Module):
    mlp: eqx.nn.MLP

    def __call__(self, x: Array, c_noise: Array, condition: Any) -> Array:
        return jax.vmap(self.mlp)(features(x, c_noise))


def arm(kind: str) -> dj.Arm:
    if kind == "nnx":
        network: Any = OwnNnx(nnx.Rngs(0))
    else:
        network = OwnEquinox(eqx.nn.MLP(6, 2, 64, 1, jax.nn.silu, key=jax.random.key(0)))
    return dj.Arm(kind, OBJECTIVE, network, optimizer=optax.adam(1e-2), ema="none")


@pytest.mark.parametrize("kind", ["nnx", "equinox"])
def test_a_module_is_trained_and_goes_on_to_the_same_bits(kind: str, tmp_path: Path) -> None:
    options = {"batch_size": 64, "run_dir": tmp_path / "run", "checkpoint_every": 100}
    dj.train(arm(kind), DATA, steps=100, **options)
    there = dj.train(arm(kind), DATA, steps=250, **options)[kind]
    at_once = dj.train(arm(kind), DATA, steps=250, batch_size=64)[kind]
    jax.tree.map(np.testing.assert_array_equal, there.params, at_once.params)
    nodes = dj.grids.Karras()(SCHEDULE, 12)
    x = dj.sample(there.denoiser(), dj.solvers.DDIM(), nodes, jax.random.key(2), (64, 2))
    assert np.abs(x - POINT).max() < 0.15


def test_training_starts_from_the_parameters_that_the_module_was_made_with() -> None:
    network = OwnNnx(nnx.Rngs(3))
    still = dj.Arm("still", OBJECTIVE, network, optimizer=optax.sgd(0.0), ema="none")
    params = dj.train(still, DATA, steps=1, batch_size=8, seed=5)["still"].params
    np.testing.assert_array_equal(params["out"]["kernel"], network.out.kernel[...])


def test_state_beside_the_parameters_is_refused() -> None:
    class Normed(OwnNnx):
        def __init__(self, rngs: nnx.Rngs):
            super().__init__(rngs)
            self.norm = nnx.BatchNorm(6, rngs=rngs)

    with pytest.raises(dj.UserError, match="Normed keeps 2 arrays beside its parameters"):
        dj.Arm("normed", OBJECTIVE, Normed(nnx.Rngs(0)))


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(dj.UserError, match="is no network that can be trained"):
        dj.Arm("type", OBJECTIVE, OwnEquinox)
