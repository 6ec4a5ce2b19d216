"""CLIP's text encoders: OpenAI's, and OpenCLIP's as transformers has them."""

from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

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
from diffusion_jax.networks.encoders.layers import (
    LayerStyle,
    PreNormLayer,
    clip_layer,
    clip_projection,
)
from diffusion_jax.networks.layers import activation, affine_layer_norm

STD = 0.02
# Configurations of before mid 2023 say that this token ends a caption, and none of CLIP's does.
NO_END = 2


@encoders.register("clip_text")
class CLIPText(Encoder):
    """A transformer in which each token sees those before it; the pooled vector is the end's.

    The vector is that of the first token `eos_token_id`, or, where the configuration says 2, of the
    token with the highest id, which is the end in CLIP's vocabulary.

    Source: Radford et al. 2021 (CLIP), section 2.4; CLIPTextModel of huggingface/transformers,
    whose names of parameters and settings these are.

    Attributes:
        vocab_size: number of ids.
        hidden_size: features of a token.
        intermediate_size: features within the layers after attention.
        num_hidden_layers: layers.
        num_attention_heads: heads; divides hidden_size.
        max_position_embeddings: the most tokens.
        hidden_act: activation, "quick_gelu" of OpenAI's and "gelu" of OpenCLIP's.
        layer_norm_eps: of norms.
        eos_token_id: the token that ends a caption.
        attention_implementation: as of a `DiT`.
        dtype: dtype of the computation; results are at least float32.

    Raises:
        UserError: a setting that cannot work, or more tokens than it has places for.

    >>> import jax
    >>> encoder = CLIPText(vocab_size=9, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
    ...     num_attention_heads=2, eos_token_id=8)
    >>> ids = jnp.array([[0, 3, 8, 8]])
    >>> encoding, _ = jax.eval_shape(encoder.init_with_output, jax.random.key(0), ids)
    >>> encoding.tokens.shape, encoding.pooled.shape, len(encoding.hidden)
    ((1, 4, 8), (1, 8), 2)
    """

    original: ClassVar[str] = "CLIPTextModel"
    fixed: ClassVar[dict[str, Any]] = {**GENERIC, "projection_dim": ANY}
    # Buffers that older files hold, and the names of newer files.
    unused: ClassVar[tuple[str, ...]] = (r".*position_ids",)
    aliases: ClassVar[tuple[tuple[str, str], ...]] = (
        (r"^(?!text_model\.|text_projection\.)", "text_model."),
    )

    vocab_size: int = 49408
    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    max_position_embeddings: int = 77
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    eos_token_id: int = 49407
    attention_implementation: str = "xla"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        owner, width = "clip_text", self.hidden_size
        counts = (
            *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"),
            *("num_attention_heads", "max_position_embeddings"),
        )
        checks.positive_integers(owner, **{name: getattr(self, name) for name in counts})
        heads = self.num_attention_heads
        checks.divides(owner, width, "hidden_size", heads, "the number of heads")
        weights = self.num_hidden_layers * width * (4 * width + 2 * self.intermediate_size)
        checks.size(owner, self.num_hidden_layers, weights + self.vocab_size * width)
        checks.attention(owner, self.attention_implementation, [width // heads], self.dtype)
        activation(self.hidden_act)

    @property
    def width(self) -> int:
        """Features of a token."""
        return self.hidden_size

    @property
    def longest(self) -> int:
        """The most tokens."""
        return self.max_position_embeddings

    def setup(self) -> None:
        """Names the parts."""
        places = self.vocab_size, self.max_position_embeddings
        self.text_model = CausalTower(
            places, self.hidden_size, self.num_hidden_layers, clip_layer(self)
        )

    def __call__(self, ids: Ids, mask: Mask | None = None) -> Encoding:
        check_length("clip_text", ids, self.longest)
        hidden = self.text_model(ids, mask)
        tokens = self.text_model.normalise(hidden[-1])
        pooled = tokens[jnp.arange(len(ids)), self._end(ids)]
        return Encoding(
            at_least_single(tokens), self._pooled(pooled), tuple(map(at_least_single, hidden))
        )

    def _end(self, ids: Ids) -> Int[Array, " batch"]:
        return jnp.argmax(ids if self.eos_token_id == NO_END else ids == self.eos_token_id, axis=-1)

    def _pooled(self, end: Float[Array, "batch width"]) -> Float[Array, "batch features"]:
        return at_least_single(end)

    def normalise(self, hidden: Tokens) -> Tokens:
        """The last norm, for the result of a layer before the last."""
        return at_least_single(self.text_model.normalise(hidden))


@encoders.register("clip_text_with_projection")
class CLIPTextWithProjection(CLIPText):
    """CLIP's text encoder whose pooled vector is mapped to where those of pictures are.

    Source: Radford et al. 2021 (CLIP), section 2.3; CLIPTextModelWithProjection of
    huggingface/transformers.

    Attributes:
        projection_dim: features of the pooled vector.
        others: as of a `CLIPText`.
    """

    original: ClassVar[str] = "CLIPTextModelWithProjection"
    fixed: ClassVar[dict[str, Any]] = dict(GENERIC)

    projection_dim: int = 768

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive_integers("clip_text", projection_dim=self.projection_dim)

    def setup(self) -> None:
        """Names the parts."""
        super().setup()
        self.text_projection = clip_projection(self, self.projection_dim, "text_projection")

    def _pooled(self, end: Float[Array, "batch width"]) -> Float[Array, "batch features"]:
        return at_least_single(self.text_projection(end))


class CausalTower(nn.Module):
    """Vectors of tokens and of places, then layers in which each token sees those before it.

    Attributes:
        places: number of ids, and of places.
        width: features of a token.
        layers: how many.
        style: how they are made.
    """

    places: tuple[int, int]
    width: int
    layers: int
    style: LayerStyle

    def setup(self) -> None:
        """Names the parts."""
        init, dtype = nn.initializers.normal(STD), self.style.attention.dtype
        self.words, self.where = (
            nn.Embed(count, self.width, dtype=dtype, embedding_init=init, name=f"embeddings.{name}")
            for count, name in zip(
                self.places, ("token_embedding", "position_embedding"), strict=True
            )
        )
        self.blocks = [
            PreNormLayer(self.style, name=f"encoder.layers.{i}") for i in range(self.layers)
        ]
        self.last_norm = affine_layer_norm(self.style.epsilon, dtype, "final_layer_norm")

    def __call__(self, ids: Ids, mask: Mask | None) -> tuple[Tokens, ...]:
        """What goes into the first layer, and what each gives."""
        length = ids.shape[-1]
        allowed = jnp.tri(length, dtype=bool)[None, None]
        if mask is not None:
            allowed = allowed & mask[:, None, None, :]
        hidden = [self.words(ids) + self.where(jnp.arange(length))]
        for block in self.blocks:
            hidden.append(block(hidden[-1], allowed))
        return tuple(hidden)

    def normalise(self, h: Tokens) -> Tokens:
        """The last norm."""
        result: Tokens = self.last_norm(h)
        return result
