"""Training loops of one's own: any function is a network, and a loop takes 25 lines."""

import functools
import re
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array

import diffusion_jax as dj

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SCHEDULE = dj.schedules.Cosine()
OBJECTIVE = dj.Objective(SCHEDULE, dj.predictions.EDM(), dj.time_samplers.LogNormal())
NODES = dj.grids.Karras()(SCHEDULE, 12)
POINT = jnp.array([0.6, -0.3])  # all data there is
ADAM = optax.adam(1e-2)
STEPS = 250


def features(x: Array, c_noise: Array) -> Array:
    return jnp.hstack([x, jnp.cos(c_noise[..., None] * jnp.arange(4))])


def is_at_the_point(network: Any) -> None:
    denoiser = OBJECTIVE.denoiser(network)
    samples = dj.sample(denoiser, dj.solvers.DDIM(), NODES, jax.random.key(2), (64, 2))
    assert samples.shape == (64, 2)
    assert float(jnp.abs(samples - POINT).max()) < 0.15


def test_the_readme_begins_with_a_loop_of_25_lines_that_learns_a_ring() -> None:
    first = re.search(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert first is not None
    assert len([line for line in first[1].splitlines() if line.strip()]) <= 25
    names: dict[str, Any] = {}
    exec(compile(first[1], "README.md", "exec"), names)
    radius = np.linalg.norm(names["samples"], axis=1)
    assert abs(np.median(radius) - 0.7) < 0.03
    assert np.mean(np.abs(radius - 0.7) < 0.15) > 0.97
    # All around, as many on either side.
    assert np.abs(np.mean(names["samples"] > 0, axis=0) - 0.5).max() < 0.08


def test_flax_nnx() -> None:
    class Network(nnx.Module):
        def __init__(self, rngs: nnx.Rngs):
            self.hidden, self.out = nnx.Linear(6, 64, rngs=rngs), nnx.Linear(64, 2, rngs=rngs)

        def __call__(self, x: Array, c_noise: Array, condition: Any) -> Array:
            return self.out(nnx.silu(self.hidden(features(x, c_noise))))

    network = Network(nnx.Rngs(0))
    optimizer = nnx.Optimizer(network, ADAM, wrt=nnx.Param)

    @nnx.jit
    def step(network: Network, optimizer: nnx.Optimizer, key: Array) -> None:
        x0 = jnp.tile(POINT, (64, 1))
        loss = lambda network: OBJECTIVE.loss(network, x0, key)  # noqa: E731
        optimizer.update(network, nnx.grad(loss)(network))

    for key in jax.random.split(jax.random.key(1), STEPS):
        step(network, optimizer, key)
    is_at_the_point(network)


def test_equinox() -> None:
    class Network(eqx.Module):
        mlp: eqx.nn.MLP

        def __call__(self, x: Array, c_noise: Array, condition: Any) -> Array:
            return jax.vmap(self.mlp)(features(x, c_noise))

    network = Network(eqx.nn.MLP(6, 2, 64, 1, jax.nn.silu, key=jax.random.key(0)))
    state = ADAM.init(eqx.filter(network, eqx.is_array))

    @eqx.filter_jit
    def step(network: Network, state: Any, key: Array) -> tuple[Network, Any]:
        x0 = jnp.tile(POINT, (64, 1))
        gradient = eqx.filter_grad(OBJECTIVE.loss)(network, x0, key)
        updates, state = ADAM.update(gradient, state)
        return eqx.apply_updates(network, updates), state

    for key in jax.random.split(jax.random.key(1), STEPS):
        network, state = step(network, state, key)
    is_at_the_point(network)


def test_a_released_network_with_conventions_of_its_own() -> None:
    """A function of parameters, unscaled x and an integer timestep that predicts the noise.

    It is exact for normal data, so its samples are those of the exact denoiser.
    """
    table = dj.schedules.ddpm_linear()
    data = dj.verification.Gaussian(POINT, jnp.array([0.5, 0.3]))
    alphas_cumprod = jnp.exp(2 * table.log_alpha)

    def released(params: dict[str, Array], x: Array, timestep: Array) -> Array:
        squared = params["alphas_cumprod"][timestep][:, None]
        level = dj.Level(jnp.sqrt(squared), jnp.sqrt(1 - squared))
        mean, variance = data.mean, data.std**2
        score = (level.alpha * mean - x) / (squared * variance + 1 - squared)
        return -level.sigma * score

    def network(params: dict[str, Array], x: Array, c_noise: Array, condition: Any) -> Array:
        time = table.time(-8 * c_noise)  # c_noise is -log-SNR/8
        return released(params, x, jnp.rint(1000 * time).astype(int) - 1)

    # At sigma_data = 1, a process with alpha² + sigma² = 1 is not scaled for the network.
    objective = dj.Objective(table, dj.predictions.Epsilon(), sigma_data=1.0)
    denoiser = objective.denoiser(functools.partial(network, {"alphas_cumprod": alphas_cumprod}))
    nodes = dj.grids.Trailing()(table, 50)
    ours, exact = (
        dj.sample(each, dj.solvers.DDIM(), nodes, jax.random.key(0), (16, 2))
        for each in (denoiser, data.denoise)
    )
    np.testing.assert_allclose(ours, exact, atol=2e-4)
