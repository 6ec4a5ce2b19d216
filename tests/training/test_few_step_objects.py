"""Few-step objectives as objects, and pictures with a conditioner, from arrays to samples."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffusion_jax as dj

pytestmark = pytest.mark.usefixtures("one_device")


class Told(nn.Module):
    """Reads both numbers of c_noise, level and end, which an initialiser must have seen too."""

    @nn.compact
    def __call__(self, x: jax.Array, c_noise: jax.Array, condition: dict) -> jax.Array:
        return nn.Dense(2)(jnp.concatenate([x, c_noise], 1))


def test_a_module_learns_to_step_far_without_a_teacher() -> None:
    objective = dj.fewstep.Shortcut(finest=4)
    x0 = np.random.default_rng(0).normal(size=(32, 2)).astype(np.float32)
    found = dj.train(dj.Arm("short", objective, Told()), x0, steps=2, batch_size=8)["short"]
    kernel = found.params["Dense_0"]["kernel"]
    assert kernel.shape == (4, 2)
    nodes = dj.grids.Uniform()(found.objective.schedule, 2)
    key = jax.random.key(0)
    samples = dj.sample(found.denoiser(), dj.solvers.Jump(), nodes, key, (3, 2))
    assert samples.shape == (3, 2) and np.isfinite(samples).all()


@pytest.mark.parametrize("reads", ["captions", "labels"])
def test_pictures_with_a_conditioner_from_arrays(reads: str) -> None:
    random = np.random.default_rng(0)
    x0 = random.integers(0, 256, (40, 8, 8, 1), np.uint8)
    words, classes = [("calm", "windy")[k % 2] for k in range(40)], [k % 2 for k in range(40)]
    backbone = dj.networks.DiT(patch=4, width=8, depth=1, heads=1)
    if reads == "captions":
        reader = dj.conditioners.TextTransformer(width=8, layers=0, heads=1)
        data = dj.data.arrays(x0, captions=words)
    else:
        reader = dj.conditioners.ClassLabel(width=8)
        data = dj.data.arrays(x0, labels=classes)
    network = dj.networks.ScoreNetwork(backbone, reader)
    arm = dj.Arm(reads, dj.Objective(dj.schedules.Cosine(), dj.predictions.V()), network)
    found = dj.train(arm, data, steps=2, batch_size=8, condition_dropout=0.5)[reads]
    own = found.arm.network
    condition = own.conditioner.encode([data.test[0], data.test[1]])
    nodes = dj.grids.Uniform()(found.objective.schedule, 2)
    samples = dj.sample(
        found.denoiser(),
        dj.solvers.DDIM(),
        nodes,
        jax.random.key(0),
        (2, 8, 8, 1),
        condition,
        guidance=dj.guidance.ClassifierFree(scale=2.0),
        null=own.null(condition),
    )
    assert samples.shape == (2, 8, 8, 1) and np.isfinite(samples).all()
