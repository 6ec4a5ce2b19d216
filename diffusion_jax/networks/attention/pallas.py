"""Fused attention on TPUs, by the kernel that JAX brings along."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

BLOCK = 128  # rows that the kernel takes at a time


def attend_by_pallas(
    query: Float[Array, "batch queries heads head"],
    key: Float[Array, "batch keys heads head"],
    value: Float[Array, "batch keys heads value"],
    mask: Bool[Array, "..."] | None = None,
    scale: float | None = None,
) -> Float[Array, "batch queries heads value"]:
    """softmax(scale q kᵀ) v, without a map of all rows by all rows in memory.

    Rows are filled up to whole blocks; the filling is of another segment, which nothing looks at.

    Args:
        query, key, value: (batch, rows, heads, features of a head).
        mask: the same for all heads and queries: (batch or 1, 1, 1, keys); None is all true.
        scale: of the logits; None is 1/sqrt(features of a head).

    Source: Dao et al. 2022, FlashAttention, algorithm 1.
    """
    from jax.experimental.pallas.ops.tpu.flash_attention import SegmentIds, flash_attention

    batch, count, _, width = query.shape
    keys = key.shape[1]
    allowed = jnp.ones((batch, keys), bool)
    if mask is not None:
        allowed = jnp.broadcast_to(mask[:, 0, 0], (batch, keys))

    def heads_first(rows: Array) -> Array:
        return jnp.moveaxis(_filled(rows), 2, 1)

    ids = SegmentIds(
        jnp.ones((batch, count + -count % BLOCK), jnp.int32), _filled(allowed).astype(jnp.int32)
    )
    mixed = flash_attention(
        *(heads_first(rows) for rows in (query, key, value)),
        segment_ids=ids,
        sm_scale=1 / math.sqrt(width) if scale is None else scale,
    )
    return jnp.moveaxis(mixed, 1, 2)[:, :count]


def _filled(rows: Array) -> Array:
    more = -rows.shape[1] % BLOCK
    return jnp.pad(rows, ((0, 0), (0, more), *((0, 0),) * (rows.ndim - 2)))
