"""Captions and classes as vectors: what a score network is told about the picture to draw.

A conditioner reads entries of the condition and says which, as `keys`.
"""

from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from diffusion_jax.errors import UserError
from diffusion_jax.networks import checks
from diffusion_jax.networks.attention import Attention
from diffusion_jax.networks.embeddings import sequence_features
from diffusion_jax.networks.registries import text_encoders
from diffusion_jax.struct import pytree

PADDING = 0
NO_LABEL = -1


@pytree
class TextContext:
    """An encoded condition.

    Attributes:
        tokens: (batch, length, width) float, one vector a word, for attention.
        mask: (batch, length) bool, false where a token is padding.
        pooled: (batch, width) float, the whole condition in one vector.
    """

    tokens: Float[Array, "batch length width"]
    mask: Bool[Array, "batch length"]
    pooled: Float[Array, "batch width"]


@text_encoders.register("transformer")
class TextEncoder(nn.Module):
    """A small transformer over the words of a caption.

    A learned start token precedes the words and is never masked: its output is the pooled
    vector, and an empty caption (all padding) is the start token alone, the learned null
    condition of classifier-free guidance (Ho & Salimans 2022).

    Attributes:
        vocabulary_size: number of token ids, padding (0) included.
        width: features of a token, a multiple of heads.
        layers: transformer layers; 0 leaves word + position embeddings.
        heads: attention heads.
        dtype: dtype of the computation.

    >>> import jax
    >>> encoder = TextEncoder(vocabulary_size=9, width=8, layers=1, heads=2)
    >>> caption = {"tokens": jnp.array([[3, 5, 0, 0]])}
    >>> context, _ = jax.eval_shape(encoder.init_with_output, jax.random.key(0), caption)
    >>> context.tokens.shape, context.mask.shape
    ((1, 5, 8), (1, 5))
    """

    keys: ClassVar[tuple[str, ...]] = ("tokens",)

    vocabulary_size: int
    width: int = 64
    layers: int = 1
    heads: int = 2
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive_integers("transformer", width=self.width, heads=self.heads)
        if self.layers < 0:
            raise UserError(f"transformer: layers must be 0 or more, got {self.layers}.")
        weights = (12 * self.layers * self.width + self.vocabulary_size) * self.width
        checks.size("transformer", self.layers, weights)
        checks.divides("transformer", self.width, "width", 2, "for sines and cosines")
        checks.divides("transformer", self.width, "width", self.heads, "the number of heads")

    def null(self, condition: dict[str, Array]) -> dict[str, Array]:
        """Captions without words."""
        return condition | {"tokens": jnp.full_like(condition["tokens"], PADDING)}

    @nn.compact
    def __call__(self, condition: dict[str, Int[Array, "batch ..."]]) -> TextContext:
        """Encodes condition["tokens"], (batch, length) int, ids of words, 0 for padding."""
        tokens = condition["tokens"]
        mask = jnp.pad(tokens != PADDING, ((0, 0), (1, 0)), constant_values=True)
        x = self._embed(tokens)
        for _ in range(self.layers):
            x = TextLayer(self.heads, self.dtype)(x, mask)
        x = nn.LayerNorm(dtype=self.dtype)(x)
        return TextContext(x, mask, x[:, 0])

    def _embed(self, tokens: Int[Array, "batch length"]) -> Float[Array, "batch length+1 width"]:
        # Standard deviation 1: captions must be told apart from the first step of training on.
        unit = nn.initializers.normal(1.0)
        words = nn.Embed(self.vocabulary_size, self.width, embedding_init=unit, name="words")
        # Padding's own embedding serves as the start token.
        x = words(jnp.pad(tokens, ((0, 0), (1, 0)), constant_values=PADDING))
        return (x + sequence_features(x.shape[1], self.width)).astype(self.dtype)


class TextLayer(nn.Module):
    """Pre-norm transformer layer: attention, then a GELU layer four times as wide."""

    heads: int
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch length width"], mask: Bool[Array, "batch length"]
    ) -> Float[Array, "batch length width"]:
        width = x.shape[-1]
        hidden = nn.LayerNorm(dtype=self.dtype)(x)
        x += Attention(self.heads, dtype=self.dtype)(hidden, hidden, mask)
        hidden = nn.LayerNorm(dtype=self.dtype)(x)
        hidden = nn.gelu(nn.Dense(4 * width, dtype=self.dtype)(hidden))
        return x + nn.Dense(width, dtype=self.dtype)(hidden)


@text_encoders.register("label")
class LabelEncoder(nn.Module):
    """A class as one learned vector of standard deviation 1, with one more for "no class".

    Attributes:
        num_classes: number of classes.
        width: features of the vector.
        dtype: dtype of the computation.
    """

    keys: ClassVar[tuple[str, ...]] = ("label",)

    num_classes: int
    width: int = 64
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive_integers("label", num_classes=self.num_classes, width=self.width)
        checks.size("label", 1, self.num_classes * self.width)

    def null(self, condition: dict[str, Array]) -> dict[str, Array]:
        """Pictures of no class."""
        return condition | {"label": jnp.full_like(condition["label"], NO_LABEL)}

    @nn.compact
    def __call__(self, condition: dict[str, Int[Array, "batch ..."]]) -> TextContext:
        """Encodes condition["label"], (batch,) int in [0, num_classes), or -1 for no class."""
        label = condition["label"]
        index = jnp.where(label == NO_LABEL, self.num_classes, label)
        unit = nn.initializers.normal(1.0)
        classes = nn.Embed(self.num_classes + 1, self.width, embedding_init=unit, name="classes")
        pooled = classes(index).astype(self.dtype)
        return TextContext(pooled[:, None], jnp.ones((len(label), 1), bool), pooled)
