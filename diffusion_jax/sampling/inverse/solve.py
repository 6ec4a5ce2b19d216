"""Solving linear systems that are known by their action alone."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.process.per_sample import inner


def conjugate_gradient(
    apply: Callable[[Array], Array], b: Float[Array, "batch ..."], iterations: int
) -> Float[Array, "batch ..."]:
    """Solves M u = b for each sample, with M symmetric and positive.

    Exact, up to rounding, after as many iterations as M has different eigenvalues. No sample
    depends on the others: norms are each sample's own, and one that is solved stays.

    Args:
        apply: u → M u.
        b: the right side.
        iterations: how many; each applies M once.

    Source: Hestenes & Stiefel 1952.

    >>> conjugate_gradient(lambda u: 4 * u, jnp.array([[8.0]]), 1).tolist()
    [[2.0]]
    """

    def body(_: Array | int, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        u, rest, direction = state
        moved, size = apply(direction), inner(rest, rest)
        curvature = inner(direction, moved)
        step = jnp.where(curvature > 0, size / jnp.where(curvature > 0, curvature, 1), 0)
        left, going = rest - step * moved, size > rounding
        # Rounding alone is left of a solved one: going on would only amplify it.
        turn = jnp.where(going, inner(left, left) / jnp.where(going, size, 1), 0)
        return (
            jnp.where(going, u + step * direction, u),
            jnp.where(going, left, rest),
            jnp.where(going, left + turn * direction, direction),
        )

    rounding = (8 * jnp.finfo(b.dtype).eps) ** 2 * inner(b, b)
    return jax.lax.fori_loop(0, iterations, body, (jnp.zeros_like(b), b, b))[0]
