"""Runge-Kutta methods beside their published stages."""

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.grids import Nodes, at_times
from diffusion_jax.sampling.solvers.euler import velocity
from diffusion_jax.sampling.solvers.runge_kutta import RungeKutta
from tests.golden.problems import mixture
from tests.golden.replay import replay

pytestmark = pytest.mark.usefixtures("x64")


def slope(x: Array, node: Nodes) -> Array:
    return velocity(x, mixture().denoise(x, node.level), node)


def heun(x: Array, nodes: Nodes, h: Array) -> Array:
    k1 = slope(x, nodes[0])
    k2 = slope(x + h / 3 * k1, nodes[1])
    k3 = slope(x + 2 * h / 3 * k2, nodes[2])
    return x + h / 4 * (k1 + 3 * k3)


def three_eighths(x: Array, nodes: Nodes, h: Array) -> Array:
    k1 = slope(x, nodes[0])
    k2 = slope(x + h / 3 * k1, nodes[1])
    k3 = slope(x + h * (k2 - k1 / 3), nodes[2])
    k4 = slope(x + h * (k1 - k2 + k3), nodes[3])
    return x + h / 8 * (k1 + 3 * k2 + 3 * k3 + k4)


def classical(x: Array, nodes: Nodes, h: Array) -> Array:
    k1 = slope(x, nodes[0])
    k2 = slope(x + h / 2 * k1, nodes[1])
    k3 = slope(x + h / 2 * k2, nodes[1])
    k4 = slope(x + h * k3, nodes[2])
    return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


@pytest.mark.parametrize("published", [heun, three_eighths])
@pytest.mark.parametrize(("steps", "sizes"), [(9, (3, 3, 3)), (8, (3, 3, 2)), (7, (3, 2, 2))])
def test_on_evenly_spaced_nodes_the_stages_are_as_published(published, steps, sizes) -> None:  # type: ignore[no-untyped-def]
    nodes = at_times(schedules.make("vp_linear"), jnp.linspace(0.9, 0.1, steps + 1))
    start = np.random.default_rng(0).normal(size=(4, 2))
    states = replay(RungeKutta(published.__name__), nodes, mixture(), start).x
    x, place = jnp.asarray(start), 0
    for size in sizes:
        step, end = published if size == 3 else classical, place + size
        x = step(x, nodes[place:], nodes.time[end] - nodes.time[place])
        place = end
        np.testing.assert_allclose(states[place - 1], x, atol=1e-12)
