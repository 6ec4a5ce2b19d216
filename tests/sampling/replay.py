"""Runs solvers over given levels, with given noise, on the recorded problems."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from diffusion_jax.oracles import Gaussian, GaussianMixture
from diffusion_jax.process.level import Level
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers import Solver
from tests.golden.load import Case, case
from tests.sampling.exact import with_clean

LONGEST = 51  # steps of the longest recording, and one onto clean data


def mixture() -> GaussianMixture:
    """The recorded two-dimensional mixture."""
    recorded = case("problems", "gmm2", "check")
    return GaussianMixture(*(jnp.asarray(recorded[name]) for name in ("weights", "means", "stds")))


def problem(name: str) -> tuple[Gaussian | GaussianMixture, np.ndarray]:
    """A recorded problem, and the rotation that makes its dimensions independent."""
    if name == "gmm2":
        return mixture(), np.eye(2)
    recorded = case("problems", name, "check")
    q = recorded["Q"]
    return Gaussian(jnp.asarray(q.T @ recorded["m"]), jnp.asarray(np.sqrt(recorded["lam"]))), q


def nodes_at(alpha: np.ndarray, sigma: np.ndarray) -> Nodes:
    """Nodes at given levels, for solvers that need no time."""
    level = Level(jnp.asarray(alpha), jnp.asarray(sigma))
    return Nodes(jnp.asarray(sigma), level, level)


@jax.jit
def _run(
    solver: Solver, data: Gaussian | GaussianMixture, nodes: Nodes, noise: Array, x: Array
) -> Array:
    def body(state, step):  # type: ignore[no-untyped-def]
        index, draw = step
        moved = solver.step(state, nodes[index], nodes[index + 1], data.denoise, lambda k: draw)
        noisy = nodes.level.sigma[index] > 0
        state = jax.tree.map(lambda new, old: jnp.where(noisy, new, old), moved, state)
        return state, state.x

    steps = (jnp.arange(noise.shape[0]), noise)
    return jax.lax.scan(body, solver.init(x, nodes), steps)[1]


def replay(solver: Solver, nodes: Nodes, recorded: Case, x: np.ndarray) -> np.ndarray:
    """The states after each step, (steps, batch, dim), with the recorded draws as noise.

    One compiled program serves all recordings of a solver: shorter ones are padded with steps
    that are not looked at.
    """
    data, q = problem(str(recorded.problem))
    steps = nodes.time.shape[0] - 1
    noise = np.zeros((LONGEST, *x.shape))
    drawn = recorded.arrays.get("noise", noise)[:steps]
    noise[: len(drawn)] = drawn
    nodes = with_clean(nodes, LONGEST - steps)
    states = _run(solver, data, nodes, jnp.asarray(noise @ q), jnp.asarray(x @ q))
    return np.asarray(states)[:steps] @ q.T
