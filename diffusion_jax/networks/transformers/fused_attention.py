"""Self-attention whose queries, keys and values come from one linear map."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.networks.attention import attend
from diffusion_jax.networks.transformers.layers import Dense, Tokens
from diffusion_jax.networks.transformers.rotary import Rotation, rotated


class FusedAttention(nn.Module):
    """softmax(q kᵀ / sqrt(head width)) v with (q, k, v) = Dense(h), then a linear map.

    Names as in timm's vision transformer, which DiT, SiT and JiT have: `qkv`, `proj`.

    Attributes:
        heads: number of heads; divides the width.
        dtype: of the computation.
        implementation: of `attend`.
        perturbed: replace the map softmax(…) by the identity.
        normalised: whether queries and keys pass an RMS norm, `q_norm` and `k_norm`.
        dropout: fraction of the result dropped while training.
    """

    heads: int
    dtype: str
    implementation: str = "xla"
    perturbed: bool = False
    normalised: bool = False
    dropout: float = 0.0

    @nn.compact
    def __call__(
        self, h: Tokens, rotation: Rotation | None = None, deterministic: bool = True
    ) -> Tokens:
        """Lets every row look at all rows, with queries and keys turned by their place."""
        batch, rows, width = h.shape
        fused = Dense(3 * width, dtype=self.dtype, name="qkv")(h)
        query, key, value = jnp.moveaxis(
            fused.reshape(batch, rows, 3, self.heads, width // self.heads), 2, 0
        )
        mixed = value if self.perturbed else self._mix(query, key, value, rotation)
        result = Dense(width, dtype=self.dtype, name="proj")(mixed.reshape(h.shape))
        return nn.Dropout(self.dropout)(result, deterministic=deterministic)

    def _mix(
        self,
        query: Float[Array, "batch rows heads head"],
        key: Float[Array, "batch rows heads head"],
        value: Float[Array, "batch rows heads head"],
        rotation: Rotation | None,
    ) -> Float[Array, "batch rows heads head"]:
        if self.normalised:
            query, key = (
                nn.RMSNorm(1e-6, dtype=self.dtype, name=f"{name}_norm")(each)
                for name, each in (("q", query), ("k", key))
            )
        if rotation is not None:
            query, key = rotated(query, rotation), rotated(key, rotation)
        return attend(query, key, value, implementation=self.implementation)
