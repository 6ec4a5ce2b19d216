"""The course of a sampler, for denoisers that act by step rather than by level."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.process.level import Level
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.struct import pytree


@pytree
class Course:
    """The run of a sampler that a denoiser is steered for.

    Attributes:
        x: where it starts, (batch, ...).
        nodes: the levels that it visits, noisiest first.
    """

    x: Float[Array, "batch ..."]
    nodes: Nodes


def next_level(level: Level, nodes: Nodes) -> Level:
    """The level of the first node that is less noisy than a level; of its shape.

    >>> from diffusion_jax.process.schedules import schedules
    >>> from diffusion_jax.sampling.grids import at_times
    >>> nodes = at_times(schedules.make("rectified_flow"), jnp.array([1.0, 0.5, 0.25]))
    >>> float(next_level(nodes[1].level, nodes).sigma)
    0.25
    """
    visited = nodes.level.noise_to_signal
    # A hair less than here is here still, whatever the rounding.
    ahead = visited < (1 - 1e-5) * level.noise_to_signal[..., None]
    # Where none is, the last; where only padding is, any node of it.
    index = jnp.where(ahead.any(axis=-1), jnp.argmax(ahead, axis=-1), visited.shape[0] - 1)
    return jax.tree.map(lambda values: values[index], nodes.level)
