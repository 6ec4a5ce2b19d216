"""BERT, and sentence encoders such as MiniLM that have its layers."""

from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from diffusion_jax.networks import checks
from diffusion_jax.networks.configurations import ANY
from diffusion_jax.networks.encoders.base import (
    GENERIC,
    Encoder,
    Encoding,
    Ids,
    Mask,
    Tokens,
    at_least_single,
    check_length,
    encoders,
)
from diffusion_jax.networks.encoders.layers import AttentionStyle, NamedAttention, dense
from diffusion_jax.networks.layers import activation, affine_layer_norm

STD = 0.02


@encoders.register("bert")
class Bert(Encoder):
    """A transformer that normalises after each part; the pooled vector is made of the first token.

    Source: Devlin et al. 2019 (BERT), section 3; BertModel of huggingface/transformers, whose names
    of parameters and settings these are.

    Attributes:
        vocab_size: number of ids.
        hidden_size: features of a token.
        intermediate_size: features within the layers after attention.
        num_hidden_layers: layers.
        num_attention_heads: heads; divides hidden_size.
        max_position_embeddings: the most tokens.
        type_vocab_size: kinds of segments, of which all tokens here are the first.
        hidden_act: activation.
        layer_norm_eps: of norms.
        attention_implementation: as of a `DiT`.
        dtype: dtype of the computation; results are at least float32.

    Raises:
        UserError: a setting that cannot work, or more tokens than it has places for.
    """

    original: ClassVar[str] = "BertModel"
    fixed: ClassVar[dict[str, Any]] = {
        **GENERIC,
        "eos_token_id": ANY,
        "position_embedding_type": "absolute",
    }
    unused: ClassVar[tuple[str, ...]] = (r".*position_ids", r"cls\..*")
    aliases: ClassVar[tuple[tuple[str, str], ...]] = (
        (r"^bert\.", ""),
        (r"LayerNorm\.gamma$", "LayerNorm.weight"),
        (r"LayerNorm\.beta$", "LayerNorm.bias"),
    )

    vocab_size: int = 30522
    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-12
    attention_implementation: str = "xla"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = (
            *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"),
            *("num_attention_heads", "max_position_embeddings", "type_vocab_size"),
        )
        checks.positive_integers("bert", **{name: getattr(self, name) for name in counts})
        width, heads = self.hidden_size, self.num_attention_heads
        checks.divides("bert", width, "hidden_size", heads, "the number of heads")
        weights = self.num_hidden_layers * width * (4 * width + 2 * self.intermediate_size)
        checks.size("bert", self.num_hidden_layers, weights + self.vocab_size * width)
        checks.attention("bert", self.attention_implementation, [width // heads], self.dtype)
        activation(self.hidden_act)

    @property
    def width(self) -> int:
        """Features of a token."""
        return self.hidden_size

    @property
    def longest(self) -> int:
        """The most tokens."""
        return self.max_position_embeddings

    @nn.compact
    def __call__(self, ids: Ids, mask: Mask | None = None) -> Encoding:
        check_length("bert", ids, self.longest)
        allowed = None if mask is None else mask[:, None, None, :]
        hidden = [self._embedded(ids)]
        for i in range(self.num_hidden_layers):
            hidden.append(self._layer(hidden[-1], allowed, f"encoder.layer.{i}"))
        pooled = jnp.tanh(self._dense(self.width, "pooler.dense")(hidden[-1][:, 0]))
        every = tuple(map(at_least_single, hidden))
        return Encoding(every[-1], at_least_single(pooled), every)

    def normalise(self, hidden: Tokens) -> Tokens:
        """The same: each layer's result is normalised."""
        return hidden

    def _embedded(self, ids: Ids) -> Tokens:
        init = nn.initializers.normal(STD)

        def table(count: int, name: str) -> nn.Embed:
            name = f"embeddings.{name}_embeddings"
            return nn.Embed(count, self.width, dtype=self.dtype, embedding_init=init, name=name)

        words = table(self.vocab_size, "word")(ids)
        places = table(self.longest, "position")(jnp.arange(ids.shape[-1]))
        kind = table(self.type_vocab_size, "token_type")(jnp.zeros_like(ids))
        return self._norm(words + kind + places, "embeddings.LayerNorm")

    def _layer(self, h: Tokens, mask: Bool[Array, "batch 1 1 length"] | None, name: str) -> Tokens:
        style = AttentionStyle(
            ("self.query", "self.key", "self.value", "output.dense"),
            self.num_attention_heads,
            self.width // self.num_attention_heads,
            (STD, STD, STD, STD),
            implementation=self.attention_implementation,
            dtype=self.dtype,
        )
        mixed = NamedAttention(style, name=f"{name}.attention")(h, mask)
        h = self._norm(h + mixed, f"{name}.attention.output.LayerNorm")
        inner = self._dense(self.intermediate_size, f"{name}.intermediate.dense")(h)
        outer = self._dense(self.width, f"{name}.output.dense")(activation(self.hidden_act)(inner))
        return self._norm(h + outer, f"{name}.output.LayerNorm")

    def _norm(self, h: Tokens, name: str) -> Tokens:
        result: Tokens = affine_layer_norm(self.layer_norm_eps, self.dtype, name)(h)
        return result

    def _dense(self, features: int, name: str) -> nn.Dense:
        return dense(features, STD, name, self.dtype)


def sentence_vectors(tokens: Tokens, mask: Mask) -> Float[Array, "batch width"]:
    """The mean of the tokens where mask is true, of length 1: all-MiniLM-L6-v2's vectors.

    Source: Reimers & Gurevych 2019 (Sentence-BERT), section 3.

    >>> sentence_vectors(jnp.array([[[3.0, 4.0], [9.0, 9.0]]]), jnp.array([[True, False]])).tolist()
    [[0.6000000238418579, 0.800000011920929]]
    """
    mean = (tokens * mask[..., None]).sum(axis=1) / jnp.maximum(mask.sum(axis=1), 1)[:, None]
    return mean / jnp.maximum(jnp.linalg.norm(mean, axis=-1, keepdims=True), 1e-12)
