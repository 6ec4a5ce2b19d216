"""A small network, data whose flow map is exact, and the distance between the two."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from diffusion_jax.fewstep import FewStep, Networks, TwoTimeNetwork
from diffusion_jax.fewstep.base import jump
from diffusion_jax.process.level import Level
from diffusion_jax.verification.oracles import GaussianMixture

BATCH, WIDTH = 128, 96


def data() -> GaussianMixture:
    """Two overlapping clouds: a flow map that is smooth, and far from linear."""
    means = jnp.array([[1.0, 0.3], [-0.8, -0.4]])
    return GaussianMixture(jnp.array([0.6, 0.4]), means, jnp.array([0.35, 0.5]))


def initial(key: Array) -> Any:
    """Parameters of a network with three hidden layers."""
    sizes = (2 + 10, WIDTH, WIDTH, WIDTH, 2)
    keys = jax.random.split(key, len(sizes))
    return [
        (jax.random.normal(k, (m, n)) / np.sqrt(m), jnp.zeros(n))
        for k, m, n in zip(keys, sizes[:-1], sizes[1:], strict=False)
    ]


def network(params: Any, x: Array, time: Array, end: Array) -> Array:
    """A perceptron over x and waves of both times."""
    waves = [
        wave(k * t) for t in (time, time - end) for k in (1.0, 3.0) for wave in (jnp.sin, jnp.cos)
    ]
    hidden = jnp.concatenate([x, jnp.stack([time, end, *waves], axis=1)], axis=1)
    for weights, bias in params[:-1]:
        hidden = jax.nn.silu(hidden @ weights + bias)
    return hidden @ params[-1][0] + params[-1][1]


def of(params: Any, objective: FewStep) -> TwoTimeNetwork:
    """The network with given parameters, told times as the objective tells them."""
    return lambda x, t, r: network(params, x, *(objective.c_noise(time) / 2.5 for time in (t, r)))


@functools.partial(jax.jit, static_argnames=("steps", "make_teacher"))
def train(
    objective: FewStep,
    params: Any,
    steps: int,
    make_teacher: Any = None,
    teacher: Any = None,
    rate: float = 2e-3,
    seed: int = 0,
) -> Any:
    """Trains with Adam and a cosine; returns a moving average of the parameters.

    Args:
        objective: whose loss is the mean over the batch.
        params: to start from.
        steps: of training.
        make_teacher: makes a teacher, a denoiser, out of `teacher`; by default the exact one.
        teacher: parameters that `make_teacher` takes.
        rate: the first learning rate.
        seed: of the draws.
    """
    exact, optimizer = data(), optax.adam(optax.cosine_decay_schedule(rate, steps))
    denoise = exact.denoise if make_teacher is None else make_teacher(teacher)

    def body(carry: Any, index: Array) -> Any:
        params, average, state = carry
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), index), 3)
        x0, eps = exact.sample(keys[0], BATCH), jax.random.normal(keys[1], (BATCH, 2))
        uniform = jax.random.uniform(keys[2], (BATCH, objective.draws))

        def mean_loss(found: Any) -> Array:
            networks = Networks(of(found, objective), of(params, objective), denoise)
            return jnp.mean(objective.loss(networks, x0, eps, uniform, index / steps))

        updates, state = optimizer.update(jax.grad(mean_loss)(params), state)
        params = optax.apply_updates(params, updates)
        average = jax.tree.map(lambda a, b: a + 0.005 * (b - a), average, params)
        return (params, average, state), None

    start = (params, params, optimizer.init(params))
    return jax.lax.scan(body, start, jnp.arange(steps))[0][1]


@functools.partial(jax.jit, static_argnames="steps")
def exact_map(eps: Array, steps: int = 400) -> Array:
    """Where the flow takes noise: Runge-Kutta of fourth order in log sigma, from 1000 to 1e-3.

    With so much noise it is beside the point whether the path had any data in it.
    """
    exact = data()

    def slope(log_s: Array, z: Array) -> Array:
        return z - exact.denoise(z, Level(jnp.ones(()), jnp.exp(log_s)))

    h = jnp.log(1e-3 / 1e3) / steps

    def step(z: Array, index: Array) -> Any:
        t = jnp.log(1e3) + index * h
        k1 = slope(t, z)
        k2 = slope(t + h / 2, z + h / 2 * k1)
        k3 = slope(t + h / 2, z + h / 2 * k2)
        k4 = slope(t + h, z + h * k3)
        return z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None

    mean = exact.weights @ exact.means
    return jax.lax.scan(step, mean + 1e3 * eps, jnp.arange(steps))[0]


@jax.jit
def one_step(objective: FewStep, params: Any, eps: Array) -> Array:
    """What the network makes of noise in one step."""
    start, end = jnp.full(len(eps), objective.schedule.t_max, float), jnp.zeros(len(eps))
    level = objective.schedule.level(start)
    return jump(objective, of(params, objective), level.sigma[:, None] * eps, start, end)


def distance(found: Array, eps: Array) -> float:
    """Root mean square distance from the exact flow map, over the standard deviation of data."""
    exact = exact_map(eps)
    return float(jnp.sqrt(jnp.mean((found - exact) ** 2) / jnp.mean(jnp.var(exact, axis=0))))


def noise(count: int = 1024) -> Array:
    """Noise that no training has seen."""
    return jax.random.normal(jax.random.key(99), (count, 2))
