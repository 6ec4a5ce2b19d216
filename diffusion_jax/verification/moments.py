"""How fast stochastic solvers converge, by the exact moments of what they return.

On Gaussian data a solver's result is affine in where it starts and in each of its draws,
x_n = a x_0 + sum_ik b_ik z_ik + c. Running it once on nothing, once on a unit of x_0 and once on a
unit of each draw gives all of them, and with them the exact mean c + a E[x_0] and variance
a² Var[x_0] + sum b_ik² after every step: there is no sampling error anywhere.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffusion_jax.process.denoiser import as_denoiser
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers import Solver, State
from diffusion_jax.verification.exact_levels import between, order_of, stack, thinned, with_clean
from diffusion_jax.verification.oracles import Gaussian


def draws_per_step(solver: Solver, nodes: Nodes) -> int:
    """How many draws of noise a step of the solver takes at most."""
    asked, identity = [0], as_denoiser(lambda x, level, condition: x)

    def noise(k: int | Array) -> Array:
        asked.append(int(k) + 1)
        return jnp.zeros((1, 1))

    def step(nodes: Nodes) -> State:
        state = solver.init(jnp.zeros((1, 1)), nodes)
        return solver.step(state, nodes[0], nodes[1], identity, noise)

    jax.eval_shape(step, nodes)
    return max(asked)


@functools.partial(jax.jit, static_argnames="draws")
def _run(solver: Solver, data: Gaussian, nodes: Nodes, draws: int) -> Array:
    """The states after every step: (grids, steps, rows, dim), rows being 0, x_0, and the draws."""
    steps = nodes.time.shape[1] - 1
    dim = data.mean.shape[0]
    rows = jnp.arange(2 + steps * draws)
    start = jnp.broadcast_to((rows == 1)[:, None] * 1.0, (len(rows), dim))

    def one(nodes: Nodes) -> Array:
        def body(state: State, index: Array) -> tuple[State, Array]:
            def noise(k: int | Array) -> Array:
                return jnp.broadcast_to((rows == 2 + index * draws + k)[:, None] * 1.0, start.shape)

            moved = solver.step(state, nodes[index], nodes[index + 1], data.denoise, noise)
            noisy = nodes.level.sigma[index] > 0  # else it is padding
            state = jax.tree.map(lambda new, old: jnp.where(noisy, new, old), moved, state)
            return state, state.x

        return jax.lax.scan(body, solver.init(start, nodes), jnp.arange(steps))[1]

    return jax.vmap(one)(nodes)


def moments(
    solver: Solver, data: Gaussian, nodes: Nodes
) -> tuple[Float[Array, "grids steps dim"], Float[Array, "grids steps dim"]]:
    """The exact mean and variance after every step, of samples that start exactly distributed.

    Args:
        solver: whose steps are affine in x and in the draws on Gaussian data (all are but those
            that measure norms).
        data: independent normal dimensions.
        nodes: stacked grids, (grids, steps + 1), padded with clean nodes or not.

    >>> from diffusion_jax.verification.exact_levels import between, stack
    >>> from diffusion_jax.process.schedules import schedules
    >>> from diffusion_jax.sampling.solvers import solvers
    >>> data = Gaussian(jnp.array([0.7]), jnp.array([0.4]))
    >>> nodes = stack([between(schedules.make("cosine"), -6.0, 6.0, 40)])
    >>> mean, variance = moments(solvers.make("ancestral"), data, nodes)
    >>> round(float(variance[0, -1, 0] / exact_moments(data, nodes)[1][0, -1, 0]), 2)
    0.87
    """
    draws = draws_per_step(solver, jax.tree.map(lambda values: values[0], nodes))
    states = _run(solver, data, nodes, draws)
    still = states[:, :, 0]
    unit = states[:, :, 1:] - still[:, :, None]
    mean, variance = exact_moments(data, nodes, first=True)
    found = still + unit[:, :, 0] * mean
    return found, unit[:, :, 0] ** 2 * variance + jnp.sum(unit[:, :, 1:] ** 2, axis=2)


def exact_moments(
    data: Gaussian, nodes: Nodes, first: bool = False
) -> tuple[Float[Array, "grids steps dim"], Float[Array, "grids steps dim"]]:
    """Mean alpha m and variance alpha² s² + sigma² at every node after the first.

    Args:
        data: N(m, s²).
        nodes: stacked grids.
        first: at the first node instead, (grids, 1, dim).
    """
    where = slice(0, 1) if first else slice(1, None)
    level = Level(nodes.level.alpha[:, where, None], nodes.level.sigma[:, where, None])
    return level.alpha * data.mean, (level.alpha * data.std) ** 2 + level.sigma**2


def variance_orders(
    solver: Solver, process: Sequence[Schedule], steps: Sequence[int] = (40, 80, 160)
) -> Float[np.ndarray, "schedules dim"]:
    """The order at which a solver's variance converges, on each schedule and for two data widths.

    At the last noisy node but one: the last step to clean data is the same for every step count.

    Args:
        solver: stochastic, with steps of the grid's.
        process: schedules, over whose log-SNR from -6 to 6 the steps are equal.
        steps: step counts, each dividing the largest.
    """
    data = Gaussian(jnp.full(2, 0.7), jnp.array([0.4, 1.3]))
    longest = max(steps)
    finest = [between(schedule, -6.0, 6.0, longest) for schedule in process]
    errors = []
    for count in steps:
        thin = [thinned(nodes, longest // count) for nodes in finest]
        nodes = stack([with_clean(nodes, longest - count + 1) for nodes in thin])
        variance, exact = moments(solver, data, nodes)[1], exact_moments(data, nodes)[1]
        errors.append(np.abs(np.asarray(variance / exact)[:, count - 1] - 1))
    flat = order_of(np.stack(errors).reshape(len(steps), -1), steps)
    return flat.reshape(len(process), -1)
