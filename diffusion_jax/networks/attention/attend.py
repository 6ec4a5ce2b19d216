"""softmax(q kᵀ) v, as every network computes it."""

import math
from typing import Literal, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from diffusion_jax.networks.attention.by_rows import attend_by_rows, is_worth_it
from diffusion_jax.networks.attention.implementations import chosen
from diffusion_jax.networks.attention.pallas import attend_by_pallas


def attend(
    query: Float[Array, "batch queries heads head"],
    key: Float[Array, "batch keys heads head"],
    value: Float[Array, "batch keys heads head"],
    mask: Bool[Array, "..."] | None = None,
    implementation: str = "xla",
    bias: Float[Array, "..."] | None = None,
    scale: float | None = None,
    cap: float | None = None,
) -> Float[Array, "batch queries heads head"]:
    """softmax(cap(scale q kᵀ) + bias) v over the keys where mask is true.

    All attention of all networks goes through here. The softmax is in float32, or in float64
    where the query is; then the implementation is always "xla". On a CPU a large map is made by
    rows, which is faster there and has all derivatives.

    Args:
        query, key, value: (batch, rows, heads, features of a head).
        mask: bool, broadcast to (batch, heads, queries, keys); None is all true.
        implementation: "xla"; fused attention, which keeps no map of all rows by all rows in
            memory: "cudnn" on NVIDIA GPUs, "pallas" on TPUs; or "auto", the fused one where the
            device has one for such numbers. A program that asks for forward derivatives is given
            "xla" always, with a warning.
        bias: added to the logits, broadcast to (batch, heads, queries, keys). With it, or with a
            mask that is not the same for all queries, "pallas" is "xla".
        scale: of the logits; None is 1/sqrt(features of a head).
        cap: logits become cap tanh(logits / cap), which lies within ±cap; None leaves them. With
            it, the implementation is always "xla".

    Raises:
        UserError: "cudnn" or "pallas" on another device.

    Source: Vaswani et al. 2017, Attention Is All You Need, eq. 1; Gemma Team 2024 (Gemma 2),
    section 2, of the cap.

    >>> attend(jnp.ones((1, 2, 1, 4)), jnp.ones((1, 3, 1, 4)), jnp.ones((1, 3, 1, 4))).shape
    (1, 2, 1, 4)
    """
    if query.dtype == jnp.float64 or cap is not None:
        return _spelled_out(query, key, value, mask, bias, scale, cap)
    how = chosen(implementation, query.dtype, query.shape[-1])
    plain = bias is None and (mask is None or mask.shape[2] == 1)
    if plain and how == "xla" and is_worth_it(query.shape[1], key.shape[1]):
        return attend_by_rows(query, key, value, mask, scale)
    if how == "pallas":
        if plain and (mask is None or mask.shape[1] == 1):
            return attend_by_pallas(query, key, value, mask, scale)
        how = "xla"
    if how == "cudnn" and mask is not None:  # it takes none to be broadcast over the queries
        mask = jnp.broadcast_to(mask, (*mask.shape[:2], query.shape[1], mask.shape[3]))
    return jax.nn.dot_product_attention(
        query, key, value, bias, mask, scale=scale, implementation=cast(Literal["xla"], how)
    )


def _spelled_out(
    query: Float[Array, "batch queries heads head"],
    key: Float[Array, "batch keys heads head"],
    value: Float[Array, "batch keys heads head"],
    mask: Bool[Array, "..."] | None,
    bias: Float[Array, "..."] | None,
    scale: float | None,
    cap: float | None,
) -> Float[Array, "batch queries heads head"]:
    """As `attend`: JAX's own takes no cap, and the softmax in single precision always."""
    wide = jnp.promote_types(jnp.float32, query.dtype)
    logits = jnp.einsum("bqhd,bkhd->bhqk", query, key, preferred_element_type=wide)
    logits *= 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    if cap is not None:
        logits = cap * jnp.tanh(logits / cap)
    if bias is not None:
        logits += bias
    if mask is not None:
        logits = jnp.where(mask, logits, jnp.finfo(logits.dtype).min)
    weights = jax.nn.softmax(logits, axis=-1).astype(value.dtype)
    return jnp.einsum("bhqk,bkhd->bqhd", weights, value)
