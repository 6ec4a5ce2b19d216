"""Attention over cells of a picture and words of a caption."""

import math
from typing import Literal, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from diffusion_jax.errors import UserError
from diffusion_jax.networks.initializers import Dense
from diffusion_jax.sampling.forward_mode import check_no_forward_mode

IMPLEMENTATIONS = ("xla", "cudnn")
LARGE = 2**24  # numbers of a map, from which on a CPU makes it by rows
ROWS = 128  # made at a time


class Attention(nn.Module):
    """Multi-head attention: softmax(q kᵀ / sqrt(head width)) v, then a linear map.

    Source: Vaswani et al. 2017, Attention Is All You Need, eq. 1.

    Attributes:
        heads: number of heads; divides the width of the queries.
        zero: start the last linear map at zero, so that a residual branch starts as nothing.
        dtype: dtype of the computation.
        implementation: "xla", or "cudnn" for the fused attention of NVIDIA GPUs, which keeps no
            map of all rows by all rows in memory.
        perturbed: replace the map softmax(…) by the identity, so that every row looks at its own
            alone (Ahn et al. 2024, perturbed-attention guidance, section 4.2 and eq. 15).

    Raises:
        UserError: "cudnn" on another device, or where forward derivatives are asked for.
    """

    heads: int
    zero: bool = False
    dtype: str = "float32"
    implementation: str = "xla"
    perturbed: bool = False

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch queries width"],
        context: Float[Array, "batch keys text"],
        mask: Bool[Array, "batch keys"] | None = None,
    ) -> Float[Array, "batch queries width"]:
        """Lets every row of x look at the rows of context where mask is true."""
        width = x.shape[-1]

        def project(rows: Float[Array, "batch rows features"], name: str, bias: bool) -> Array:
            flat = Dense(width, use_bias=bias, dtype=self.dtype, name=name)(rows)
            return flat.reshape(*rows.shape[:2], self.heads, width // self.heads)

        query, value = project(x, "query", True), project(context, "value", True)
        # The same vector added to every key changes no softmax, so keys need no bias.
        key = project(context, "key", False)
        allowed = None if mask is None else mask[:, None, None, :]
        mixed = value
        if not self.perturbed:
            mixed = attend(query, key, value, allowed, self.implementation)
        mixed = mixed.reshape(x.shape)
        if self.zero:
            zeros = nn.initializers.zeros_init()
            return Dense(width, kernel_init=zeros, dtype=self.dtype, name="zero_out")(mixed)
        return Dense(width, dtype=self.dtype, name="out")(mixed)


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
        implementation: "xla", or "cudnn" for the fused attention of NVIDIA GPUs, which keeps no
            map of all rows by all rows in memory.
        bias: added to the logits, broadcast to (batch, heads, queries, keys).
        scale: of the logits; None is 1/sqrt(features of a head).
        cap: logits become cap tanh(logits / cap), which lies within ±cap; None leaves them. With
            it, the implementation is always "xla".

    Raises:
        UserError: "cudnn" on another device, or where forward derivatives are asked for.

    Source: Vaswani et al. 2017, Attention Is All You Need, eq. 1; Gemma Team 2024 (Gemma 2),
    section 2, of the cap.

    >>> attend(jnp.ones((1, 2, 1, 4)), jnp.ones((1, 3, 1, 4)), jnp.ones((1, 3, 1, 4))).shape
    (1, 2, 1, 4)
    """
    how = cast(Literal["xla", "cudnn"], implementation)
    if query.dtype == jnp.float64 or cap is not None:
        return _spelled_out(query, key, value, mask, bias, scale, cap)
    if implementation == "cudnn":
        check_no_forward_mode()
        check_gpu()
        if mask is not None:  # it takes none that is to be broadcast over the queries
            mask = jnp.broadcast_to(mask, (*mask.shape[:2], query.shape[1], mask.shape[3]))
    elif bias is None and _is_large(query, key) and (mask is None or mask.shape[2] == 1):
        return _by_rows(query, key, value, mask, scale)
    return jax.nn.dot_product_attention(
        query, key, value, bias, mask, scale=scale, implementation=how
    )


def _is_large(query: Array, key: Array) -> bool:
    """Whether the map outgrows a CPU's caches, and its rows can be taken in equal parts."""
    batch, count, heads, _ = query.shape
    large = batch * heads * count * key.shape[1] >= LARGE and count % ROWS == 0
    return large and jax.default_backend() == "cpu"


def _by_rows(
    query: Float[Array, "batch queries heads head"],
    key: Float[Array, "batch keys heads head"],
    value: Float[Array, "batch keys heads head"],
    mask: Bool[Array, "..."] | None,
    scale: float | None,
) -> Float[Array, "batch queries heads head"]:
    """As `attend`, some rows of the map after others, so that it is never in memory as a whole."""
    batch, count, heads, width = query.shape
    parts = jnp.moveaxis(query.reshape(batch, count // ROWS, ROWS, heads, width), 1, 0)

    def some(rows: Array) -> Array:
        return jax.nn.dot_product_attention(rows, key, value, mask=mask, scale=scale)

    mixed = jnp.moveaxis(jax.lax.map(some, parts), 0, 1)
    return mixed.reshape(batch, count, heads, value.shape[-1])


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


def check_gpu() -> None:
    """Raises UserError unless programs run on a GPU."""
    backend = jax.default_backend()
    if backend != "gpu":
        raise UserError(
            f"attention_implementation='cudnn' runs on NVIDIA GPUs only, and this is a {backend}: "
            "use attention_implementation='xla'; the parameters are the same."
        )


def is_perturbed(number: int, perturbed: tuple[int, ...] | None) -> bool:
    """Whether a self-attention is among those that are named: all if `perturbed` is empty.

    >>> is_perturbed(1, None), is_perturbed(1, ()), is_perturbed(1, (0, 2))
    (False, True, False)
    """
    return perturbed is not None and (not perturbed or number in perturbed)
