"""Captions: a small transformer over their words."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from diffusion_jax.errors import UserError
from diffusion_jax.networks import checks
from diffusion_jax.networks.attention import Attention
from diffusion_jax.networks.conditioners.base import (
    Condition,
    Conditioner,
    Context,
    Corpus,
    Example,
    Rows,
    conditioners,
    state_of,
)
from diffusion_jax.networks.embeddings import sequence_features
from diffusion_jax.networks.initializers import Dense, unit_normal
from diffusion_jax.networks.tokenizers import PADDING, Tokenizer, Words

KEY = "tokens"


@conditioners.register("transformer")
class TextTransformer(Conditioner):
    """A small transformer over the tokens of a caption.

    A learned start token precedes the others and is never masked: its output is the pooled
    vector, and an empty caption (all padding) is the start token alone, the learned null
    condition of classifier-free guidance (Ho & Salimans 2022).

    Attributes:
        vocabulary_size: number of token ids, padding (0) included; the tokenizer's, once that has
            learnt them.
        width: features of a token, a multiple of heads.
        layers: transformer layers; 0 leaves token + position embeddings.
        heads: attention heads.
        dtype: dtype of the computation.
        tokenizer: makes tokens of captions.

    >>> import jax
    >>> encoder = TextTransformer(vocabulary_size=9, width=8, layers=1, heads=2)
    >>> caption = {"tokens": jnp.array([[3, 5, 0, 0]])}
    >>> context, _ = jax.eval_shape(encoder.init_with_output, jax.random.key(0), caption)
    >>> context.tokens.shape, context.mask.shape
    ((1, 5, 8), (1, 5))
    """

    vocabulary_size: int = 0
    width: int = 64
    layers: int = 1
    heads: int = 2
    dtype: str = "float32"
    tokenizer: Tokenizer = Words()

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive_integers("transformer", width=self.width, heads=self.heads)
        if self.layers < 0:
            raise UserError(f"transformer: layers must be 0 or more, got {self.layers}.")
        weights = (12 * self.layers * self.width + self.vocabulary_size) * self.width
        checks.size("transformer", self.layers, weights)
        checks.divides("transformer", self.width, "width", 2, "for sines and cosines")
        checks.divides("transformer", self.width, "width", self.heads, "the number of heads")

    @property
    def answers(self) -> tuple[str, ...]:
        return ("prompt",)

    @property
    def keys(self) -> tuple[str, ...]:
        return (KEY,)

    @nn.compact
    def __call__(self, condition: Condition, x: Float[Array, "batch ..."] | None = None) -> Context:
        """Encodes condition["tokens"], (batch, length) int, ids of tokens, 0 for padding."""
        checks.positive_integers("transformer", vocabulary_size=self.vocabulary_size)
        tokens = jnp.asarray(condition[KEY])
        mask = jnp.pad(tokens != PADDING, ((0, 0), (1, 0)), constant_values=True)
        h = self._embed(tokens)
        for _ in range(self.layers):
            h = TextLayer(self.heads, self.dtype)(h, mask)
        h = nn.LayerNorm(dtype=self.dtype)(h)
        return Context(h, mask, h[:, 0])

    def _embed(self, tokens: Int[Array, "batch length"]) -> Float[Array, "batch length+1 width"]:
        # Standard deviation 1: captions must differ from the first step of training on.
        words = nn.Embed(self.vocabulary_size, self.width, embedding_init=unit_normal, name="words")
        # Padding's own embedding serves as the start token.
        h = words(jnp.pad(tokens, ((0, 0), (1, 0)), constant_values=PADDING))
        return (h + sequence_features(h.shape[1], self.width)).astype(self.dtype)

    @nn.nowrap
    def null(self, condition: Condition) -> Condition:
        """Captions without words."""
        return condition | {KEY: jnp.full_like(condition[KEY], PADDING)}

    @nn.nowrap
    def fit(self, data: Corpus) -> "TextTransformer":
        """Lets the tokenizer learn from all captions."""
        return self._with(self.tokenizer.fit(data.captions))

    @nn.nowrap
    def state(self) -> dict[str, Any]:
        """The tokenizer's."""
        return {KEY: self.tokenizer.state()}

    @nn.nowrap
    def restored(self, states: Mapping[str, Any]) -> "TextTransformer":
        """With the tokenizer that was saved."""
        return self._with(self.tokenizer.restored(state_of(states, KEY)))

    @nn.nowrap
    def _with(self, tokenizer: Tokenizer) -> "TextTransformer":
        return self.clone(tokenizer=tokenizer, vocabulary_size=tokenizer.vocabulary_size)

    @nn.nowrap
    def encode(self, examples: Sequence[Example]) -> Rows:
        """The tokens of the first caption of each; none where there is no caption.

        Of captions that are too long the rest is cut off, with one warning for all.
        """
        captions = [caption_of(example) for example in examples]
        if any(map(self.tokenizer.beyond, captions)):
            warnings.warn("Captions are cut off at the most tokens that are read.", stacklevel=2)
        return self._tokens(captions)

    @nn.nowrap
    def ask(self, prompts: Sequence[str], class_name: str = "") -> Rows:
        """The tokens of the prompts; of one that is too long a warning shows what is cut off."""
        for prompt in dict.fromkeys(prompts):
            if cut := self.tokenizer.beyond(prompt):
                said = f"{prompt[:60]}…" if len(prompt) > 60 else prompt
                warnings.warn(
                    f"The prompt {said!r} is longer than this model reads; this was cut: {cut!r}.",
                    stacklevel=2,
                )
        return self._tokens(prompts)

    @nn.nowrap
    def _tokens(self, captions: Sequence[str]) -> Rows:
        return {KEY: np.stack([self.tokenizer.encode(caption) for caption in captions])}

    @nn.nowrap
    def texts(self, data: Corpus) -> dict[str, Iterable[str]]:
        """The captions."""
        return {"captions": data.captions}


def caption_of(example: Example) -> str:
    """The first caption of an example, "" for none."""
    captions = example.get("captions") or ("",)
    return str(captions[0])


class TextLayer(nn.Module):
    """Pre-norm transformer layer: attention, then a GELU layer four times as wide.

    Attributes:
        heads: of the attention.
        dtype: of the computation.

    Source: Xiong et al. 2020, On Layer Normalization in the Transformer Architecture, figure 1.
    """

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
        hidden = nn.gelu(Dense(4 * width, dtype=self.dtype)(hidden))
        return x + Dense(width, dtype=self.dtype)(hidden)
