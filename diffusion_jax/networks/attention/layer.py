"""The layer of attention."""

import flax.linen as nn
from jaxtyping import Array, Bool, Float

from diffusion_jax.networks.attention.attend import attend
from diffusion_jax.networks.initializers import Dense


class Attention(nn.Module):
    """Multi-head attention: softmax(q kᵀ / sqrt(head width)) v, then a linear map.

    Source: Vaswani et al. 2017, Attention Is All You Need, eq. 1.

    Attributes:
        heads: number of heads; divides the width of the queries.
        zero: start the last linear map at zero, so that a residual branch starts as nothing.
        dtype: dtype of the computation.
        implementation: "xla", "cudnn", "pallas" or "auto", as of `attend`.
        perturbed: replace the map softmax(…) by the identity, so that every row looks at its own
            alone (Ahn et al. 2024, perturbed-attention guidance, section 4.2 and eq. 15).

    Raises:
        UserError: "cudnn" or "pallas" on another device.
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


def is_perturbed(number: int, perturbed: tuple[int, ...] | None) -> bool:
    """Whether a self-attention is among those that are named: all if `perturbed` is empty.

    >>> is_perturbed(1, None), is_perturbed(1, ()), is_perturbed(1, (0, 2))
    (False, True, False)
    """
    return perturbed is not None and (not perturbed or number in perturbed)
