"""Attention with a linear map each for queries, keys and values, as diffusers names them."""

import flax.linen as nn
from jaxtyping import Array, Bool, Float

from diffusion_jax.networks.attention import attend
from diffusion_jax.networks.transformers.layers import Dense, Tokens, ZeroDense


class ProjectedAttention(nn.Module):
    """softmax(q kᵀ / sqrt(head width)) v, then a linear map: `to_q`, `to_k`, `to_v`, `to_out.0`.

    Attributes:
        heads: number of heads.
        head_width: features of a head.
        dtype: of the computation.
        implementation: of `attend`.
        use_bias: whether queries, keys and values have one.
        perturbed: replace the map softmax(…) by the identity.
        dropout: fraction of the result dropped while training.
        zero: start the last linear map at zero.
    """

    heads: int
    head_width: int
    dtype: str
    implementation: str = "xla"
    use_bias: bool = True
    perturbed: bool = False
    dropout: float = 0.0
    zero: bool = False

    @nn.compact
    def __call__(
        self,
        h: Tokens,
        words: Float[Array, "batch words features"] | None,
        mask: Bool[Array, "batch words"] | None,
        deterministic: bool,
    ) -> Tokens:
        """Lets every row look at the words where mask is true; without words, at all rows."""
        inner = self.heads * self.head_width

        def project(rows: Float[Array, "batch rows features"], name: str) -> Array:
            flat = Dense(inner, use_bias=self.use_bias, dtype=self.dtype, name=name)(rows)
            return flat.reshape(*rows.shape[:2], self.heads, self.head_width)

        context = h if words is None else words
        value = project(context, "to_v")
        if not self.perturbed:
            allowed = None if mask is None else mask[:, None, None, :]
            query, key = project(h, "to_q"), project(context, "to_k")
            value = attend(query, key, value, allowed, self.implementation)
        kind = ZeroDense if self.zero else Dense
        flat = value.reshape(*h.shape[:2], inner)
        result = kind(h.shape[-1], dtype=self.dtype, name="to_out.0")(flat)
        return nn.Dropout(self.dropout)(result, deterministic=deterministic)
