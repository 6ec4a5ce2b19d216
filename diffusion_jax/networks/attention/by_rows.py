"""Attention on a CPU, some rows of a head's map after others."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

SMALLEST = 2**16  # numbers of a head's map, from which on rows are made in turn
ROWS = 512  # made at a time, at most


def is_worth_it(queries: int, keys: int) -> bool:
    """Whether a CPU is faster by rows: the map of a head outgrows the caches of a core."""
    return queries * keys >= SMALLEST and jax.default_backend() == "cpu"


def attend_by_rows(
    query: Float[Array, "batch queries heads head"],
    key: Float[Array, "batch keys heads head"],
    value: Float[Array, "batch keys heads value"],
    mask: Bool[Array, "..."] | None = None,
    scale: float | None = None,
) -> Float[Array, "batch queries heads value"]:
    """softmax(scale q kᵀ) v, of which no more than 512 rows of one head are in memory at once.

    A CPU multiplies matrices fastest where heads come before rows, and what it has just made is in
    its caches when the softmax and the second product want it. All derivatives exist. The softmax
    is in single precision at least.

    Args:
        query, key, value: (batch, rows, heads, features of a head).
        mask: the same for all heads and queries: (batch or 1, 1, 1, keys); None is all true.
        scale: of the logits; None is 1/sqrt(features of a head).

    Source: Rabe & Staats 2021, Self-attention Does Not Need O(n²) Memory, section 2.
    """
    batch, count, heads, width = query.shape
    keys, wide = key.shape[1], jnp.promote_types(jnp.float32, query.dtype)
    parts = -(-count // ROWS)
    rows = -(-count // parts)
    factor = 1 / math.sqrt(width) if scale is None else scale

    first = jnp.moveaxis(query, 2, 1).reshape(batch * heads, count, width)
    padded = jnp.pad(first, ((0, 0), (0, parts * rows - count), (0, 0)))
    columns = jnp.moveaxis(key, 1, 3).reshape(batch * heads, width, keys)
    values = jnp.moveaxis(value, 2, 1).reshape(batch * heads, keys, -1)
    allowed = None
    if mask is not None:
        allowed = jnp.broadcast_to(mask, (batch, heads, 1, keys)).reshape(-1, 1, keys)

    def head(given: tuple[Array, Array, Array, Array | None]) -> Array:
        queries, columns, values, allowed = given

        def some(queries: Array) -> Array:
            logits = factor * jnp.matmul(queries, columns, preferred_element_type=wide)
            if allowed is not None:
                logits = jnp.where(allowed, logits, jnp.finfo(wide).min)
            powers = jnp.exp(logits - jax.lax.stop_gradient(logits.max(-1, keepdims=True)))
            mixed = jnp.matmul(
                powers.astype(values.dtype), values, preferred_element_type=wide
            ) / powers.sum(-1, keepdims=True)
            return mixed.astype(values.dtype)

        return jax.lax.map(some, queries)

    by_part = padded.reshape(batch * heads, parts, rows, width)
    mixed = jax.lax.map(head, (by_part, columns, values, allowed))
    mixed = mixed.reshape(batch, heads, parts * rows, -1)[:, :, :count]
    return jnp.moveaxis(mixed, 1, 2)
