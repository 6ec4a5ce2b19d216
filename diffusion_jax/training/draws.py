"""All the randomness of a training step, drawn once and shared by every arm."""

import jax
from jaxtyping import Array, Bool, Float, Int, Key

from diffusion_jax.struct import pytree


@pytree
class Draws:
    """The random numbers of one step, one row per picture of the global batch.

    Attributes:
        u: uniform in the open interval (0, 1), (B,); each arm turns it into its own noise level.
        eps: standard normal noise, (B, ...) like the pictures.
        drop: whether the row is trained without its condition, (B,).
        key: for the network's own dropout, if it has any, (B,); a part of the batch that is
            computed by itself takes that of its first row.
    """

    u: Float[Array, "*batch"]
    eps: Float[Array, "..."]
    drop: Bool[Array, "*batch"]
    key: Key[Array, "*batch"]


def draw(
    key: Key[Array, ""],
    rows: Int[Array, " batch"],
    shape: tuple[int, ...],
    condition_dropout: float | Float[Array, ""],
) -> Draws:
    """Draws the rows `rows` of a step's randomness.

    Row i depends on (key, i) alone: not on the batch size, on how the batch is split over devices
    or processes, or on the other rows.

    Args:
        key: the key of the step, `fold_in(training key, step)`.
        rows: indices into the global batch.
        shape: shape of one picture, without the batch axis.
        condition_dropout: probability of `drop`.

    >>> import jax.numpy as jnp
    >>> draw(jax.random.key(0), jnp.arange(4), (2, 2, 3), 0.1).eps.shape
    (4, 2, 2, 3)
    """

    def one(row: Int[Array, ""]) -> Draws:
        time, noise, condition, dropout = jax.random.split(jax.random.fold_in(key, row), 4)
        # float32 uniforms are multiples of 2^-23 in [0, 1): half a step up keeps 0 and 1 out.
        u = jax.random.uniform(time) + 2.0**-24
        return Draws(
            u=u,
            eps=jax.random.normal(noise, shape),
            drop=jax.random.bernoulli(condition, condition_dropout),
            key=dropout,
        )

    return jax.vmap(one)(rows)
