"""Attention of a picture and a text to both of them, as MM-DiT has it."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from diffusion_jax.networks.attention import attend
from diffusion_jax.networks.transformers.layers import Dense, Tokens
from diffusion_jax.networks.transformers.rotary import Rotation, rotated

Rows = Float[Array, "batch rows heads head"]


class JointAttention(nn.Module):
    """softmax(q kᵀ / sqrt(head width)) v over the rows of a text and of a picture together.

    Each of the two has linear maps of its own, with names as in diffusers: `to_q`, `to_k`, `to_v`,
    `norm_q`, `norm_k`, `to_out.0` for the picture, `add_q_proj`, … , `to_add_out` for the text.

    Source: Esser et al. 2024 (SD3), section 4 and figure 2.

    Attributes:
        heads: number of heads.
        head_width: features of a head.
        dtype: of the computation.
        implementation: of `attend`.
        normalised: whether queries and keys pass an RMS norm.
        perturbed: every row of the picture looks at itself and the text alone.
        text_out: whether the text's rows are wanted too.
        projected: whether a last linear map follows.
    """

    heads: int
    head_width: int
    dtype: str
    implementation: str = "xla"
    normalised: bool = True
    perturbed: bool = False
    text_out: bool = True
    projected: bool = True

    @nn.compact
    def __call__(
        self,
        h: Tokens,
        words: Float[Array, "batch words width"] | None = None,
        mask: Bool[Array, "batch words"] | None = None,
        rotation: Rotation | None = None,
    ) -> tuple[Tokens, Float[Array, "batch words width"] | None]:
        """The picture's rows and, if they are wanted, the text's.

        Args:
            h: rows of the picture.
            words: rows of the text, if there is one.
            mask: which of them are there.
            rotation: of all rows, the text's first.
        """
        query, key, value = self._heads(h, ("to_q", "to_k", "to_v"), "norm_{}")
        length = 0 if words is None else words.shape[1]
        if words is not None:
            names = "add_q_proj", "add_k_proj", "add_v_proj"
            both = zip(self._heads(words, names, "norm_added_{}"), (query, key, value), strict=True)
            query, key, value = (jnp.concatenate(each, axis=1) for each in both)
        if rotation is not None:
            query, key = rotated(query, rotation), rotated(key, rotation)
        allowed = joint_mask(mask, length, h.shape[1], self.perturbed)
        skipped = 0 if self.text_out else length
        query = query[:, skipped:]
        if allowed is not None and allowed.shape[2] > 1:
            allowed = allowed[:, :, skipped:]
        mixed = attend(query, key, value, allowed, self.implementation)
        mixed = mixed.reshape(len(h), -1, self.heads * self.head_width)
        text, picture = mixed[:, : length - skipped], mixed[:, length - skipped :]
        if self.projected:
            picture = Dense(h.shape[-1], dtype=self.dtype, name="to_out.0")(picture)
        if words is None or not self.text_out:
            return picture, None
        return picture, Dense(words.shape[-1], dtype=self.dtype, name="to_add_out")(text)

    def _heads(self, rows: Tokens, names: tuple[str, str, str], norm: str) -> tuple[Rows, ...]:
        """Queries, keys and values of some rows."""
        shape = *rows.shape[:2], self.heads, self.head_width
        found = []
        for name, letter in zip(names, "qkv", strict=True):
            dense = Dense(self.heads * self.head_width, dtype=self.dtype, name=name)
            part = dense(rows).reshape(shape)
            if self.normalised and letter != "v":
                part = nn.RMSNorm(1e-6, dtype=self.dtype, name=norm.format(letter))(part)
            found.append(part)
        return tuple(found)


def joint_mask(
    mask: Bool[Array, "batch words"] | None, words: int, rows: int, perturbed: bool
) -> Bool[Array, "..."] | None:
    """What may look at what, (batch or 1, 1, words + rows or 1, words + rows); None for all.

    Args:
        mask: which words are there.
        words: how many there may be.
        rows: of the picture.
        perturbed: a row of the picture looks at no other row of the picture.

    Source: Ahn et al. 2024 (perturbed-attention guidance), section 4.2, for one sequence.

    >>> joint_mask(None, 1, 2, True)[0, 0].astype(int).tolist()
    [[1, 1, 1], [1, 1, 0], [1, 0, 1]]
    """
    allowed = None
    if mask is not None:
        allowed = jnp.pad(mask, ((0, 0), (0, rows)), constant_values=True)[:, None, None]
    if not perturbed:
        return allowed
    picture = jnp.arange(words + rows) >= words
    apart = ~(picture[:, None] & picture) | jnp.eye(words + rows, dtype=bool)
    return apart[None, None] if allowed is None else allowed & apart
