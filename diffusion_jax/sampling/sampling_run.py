"""The run of a sampler, for denoisers that act by step rather than by level."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.process.level import Level
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.struct import pytree


@pytree
class SamplingRun:
    """The run of a sampler that a denoiser is steered for.

    Attributes:
        x: where it starts, (batch, ...).
        nodes: the levels that it visits.
    """

    x: Float[Array, "batch ..."]
    nodes: Nodes


def next_level(level: Level, nodes: Nodes) -> Level:
    """The level of the node after one, or of the first that is less noisy; of its shape.

    A level that is visited more than once is taken to be visited for the last time.

    >>> from diffusion_jax.process.schedules import schedules
    >>> from diffusion_jax.sampling.grids import at_times
    >>> nodes = at_times(schedules.make("rectified_flow"), jnp.array([1.0, 0.5, 0.25]))
    >>> float(next_level(nodes[1].level, nodes).sigma)
    0.25
    """
    visited, here = nodes.level.noise_to_signal, level.noise_to_signal[..., None]
    last = visited.shape[0] - 1
    # A hair less than here is here still, whatever the rounding.
    ahead = visited < (1 - 1e-5) * here
    at = ~ahead & (visited <= (1 + 1e-5) * here)
    after = jnp.minimum(last - jnp.argmax(at[..., ::-1], axis=-1) + 1, last)
    # Where none is, the last; where only padding is, any node of it.
    first = jnp.where(ahead.any(axis=-1), jnp.argmax(ahead, axis=-1), last)
    index = jnp.where(at.any(axis=-1), after, first)
    return jax.tree.map(lambda values: values[index], nodes.level)
