"""The encoder of T5, 1.0 and 1.1, which PixArt, SD3 and FLUX.1 read prompts with."""

import math
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from diffusion_jax.errors import UserError
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
    encoders,
)
from diffusion_jax.networks.encoders.layers import AttentionStyle, NamedAttention, dense
from diffusion_jax.networks.layers import activation

GATED = "gated-"


@encoders.register("t5")
class T5(Encoder):
    """A transformer that sees all tokens, and places by a bias of its first attention's logits.

    Norms neither shift nor take the mean away, no map has a bias, and logits are not scaled.

    Source: Raffel et al. 2020 (T5), section 2.1; Shazeer 2020, GLU Variants Improve Transformer (of
    1.1); T5EncoderModel of huggingface/transformers, whose names of parameters and settings these
    are.

    Attributes:
        vocab_size: number of ids.
        d_model: features of a token.
        d_kv: features of a head.
        d_ff: features within the layers after attention.
        num_layers: layers.
        num_heads: heads.
        relative_attention_num_buckets: biases of each head; distances share them, near ones least.
        relative_attention_max_distance: from which on all distances share one.
        layer_norm_epsilon: of norms.
        feed_forward_proj: activation of the layers after attention, "gated-" before it where a
            second map multiplies it: "gated-gelu" of 1.1, "relu" of 1.0.
        attention_implementation: as of a `DiT`.
        dtype: dtype of the computation; results are at least float32.

    Raises:
        UserError: a setting that cannot work.
    """

    original: ClassVar[str] = "T5EncoderModel"
    holders: ClassVar[dict[str, str]] = {"T5Model": "", "T5ForConditionalGeneration": ""}
    fixed: ClassVar[dict[str, Any]] = {
        **GENERIC,
        "dense_act_fn": ANY,  # what feed_forward_proj says
        "eos_token_id": ANY,
        "is_gated_act": ANY,
        "n_positions": ANY,
        "num_decoder_layers": ANY,
        "scale_decoder_outputs": ANY,
    }
    # Whole checkpoints hold the decoder as well, and the table of words twice.
    unused: ClassVar[tuple[str, ...]] = (r"decoder\..*", r"lm_head\..*")
    aliases: ClassVar[tuple[tuple[str, str], ...]] = ((r"^encoder\.embed_tokens\.", "shared."),)

    vocab_size: int = 32128
    d_model: int = 512
    d_kv: int = 64
    d_ff: int = 2048
    num_layers: int = 6
    num_heads: int = 8
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    layer_norm_epsilon: float = 1e-6
    feed_forward_proj: str = "relu"
    attention_implementation: str = "xla"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = (
            *("vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads"),
            *("relative_attention_num_buckets", "relative_attention_max_distance"),
        )
        checks.positive_integers("t5", **{name: getattr(self, name) for name in counts})
        inner = self.num_heads * self.d_kv
        weights = self.num_layers * self.d_model * (4 * inner + 3 * self.d_ff)
        checks.size("t5", self.num_layers, weights + self.vocab_size * self.d_model)
        checks.attention("t5", self.attention_implementation, [self.d_kv], self.dtype)
        self._activation()
        buckets = self.relative_attention_num_buckets
        checks.divides("t5", buckets, "relative_attention_num_buckets", 4, "two ways, near and far")
        if self.relative_attention_max_distance <= buckets // 4:
            raise UserError(
                f"t5: relative_attention_max_distance={self.relative_attention_max_distance} must "
                f"be more than a quarter of relative_attention_num_buckets={buckets}."
            )

    @nn.nowrap
    def _activation(self) -> Any:
        name = self.feed_forward_proj.removeprefix(GATED)
        # What "gated-gelu" has always stood for.
        return activation("gelu_new" if self.feed_forward_proj == "gated-gelu" else name)

    @property
    def width(self) -> int:
        """Features of a token."""
        return self.d_model

    def setup(self) -> None:
        """Names the parts."""
        init = nn.initializers.normal(1.0)
        self.shared = nn.Embed(self.vocab_size, self.d_model, dtype=self.dtype, embedding_init=init)
        self.bias_table = nn.Embed(
            self.relative_attention_num_buckets,
            self.num_heads,
            dtype=self.dtype,
            embedding_init=nn.initializers.normal(self.d_model**-0.5),
            name="encoder.block.0.layer.0.SelfAttention.relative_attention_bias",
        )
        outer, inner = self.d_model**-0.5, (self.num_heads * self.d_kv) ** -0.5
        style = AttentionStyle(
            ("q", "k", "v", "o"),
            self.num_heads,
            self.d_kv,
            ((self.d_model * self.d_kv) ** -0.5, outer, outer, inner),
            use_bias=False,
            use_out_bias=False,
            scale=1.0,
            implementation=self.attention_implementation,
            dtype=self.dtype,
        )
        self.blocks = [
            T5Block(
                style,
                self.d_ff,
                self.feed_forward_proj.startswith(GATED),
                self._activation(),
                self.layer_norm_epsilon,
                name=f"encoder.block.{i}",
            )
            for i in range(self.num_layers)
        ]
        self.last_norm = nn.RMSNorm(
            self.layer_norm_epsilon, dtype=self.dtype, name="encoder.final_layer_norm"
        )

    def __call__(self, ids: Ids, mask: Mask | None = None) -> Encoding:
        allowed = None if mask is None else mask[:, None, None, :]
        buckets = distance_buckets(
            ids.shape[-1],
            self.relative_attention_num_buckets,
            self.relative_attention_max_distance,
        )
        bias = jnp.moveaxis(self.bias_table(jnp.asarray(buckets)), -1, 0)[None]
        hidden = [self.shared(ids)]
        for block in self.blocks:
            hidden.append(block(hidden[-1], allowed, bias))
        tokens = self.last_norm(hidden[-1])
        return Encoding(at_least_single(tokens), None, tuple(map(at_least_single, hidden)))

    def normalise(self, hidden: Tokens) -> Tokens:
        """The last norm, for the result of a layer before the last."""
        return at_least_single(self.last_norm(hidden))


class T5Block(nn.Module):
    """h + attention(norm(h)), then h + Dense(activation(Dense(norm(h)))), gated or not.

    Attributes:
        attention: how its attention is made.
        hidden: features within.
        gated: whether a second map multiplies what is within.
        act: the activation.
        epsilon: of the norms.
    """

    attention: AttentionStyle
    hidden: int
    gated: bool
    act: Any
    epsilon: float

    @nn.compact
    def __call__(
        self,
        h: Tokens,
        mask: Bool[Array, "batch 1 1 length"] | None,
        bias: Float[Array, "1 heads length length"],
    ) -> Tokens:
        """The result of the block."""
        dtype, width = self.attention.dtype, h.shape[-1]
        norms = [
            nn.RMSNorm(self.epsilon, dtype=dtype, name=f"layer.{i}.layer_norm") for i in range(2)
        ]
        attention = NamedAttention(self.attention, name="layer.0.SelfAttention")
        h = h + attention(norms[0](h), mask, bias)
        within = norms[1](h)

        def mapped(x: Tokens, features: int, name: str) -> Array:
            name, std = f"layer.1.DenseReluDense.{name}", x.shape[-1] ** -0.5
            result: Array = dense(features, std, name, dtype, use_bias=False)(x)
            return result

        inner = self.act(mapped(within, self.hidden, "wi_0" if self.gated else "wi"))
        if self.gated:
            inner = inner * mapped(within, self.hidden, "wi_1")
        return h + mapped(inner, width, "wo")


def distance_buckets(length: int, buckets: int, farthest: int) -> Int[np.ndarray, "length length"]:
    """Which bias a distance has: those of tokens before, then those of tokens after.

    Of either half, half stand for one distance each, and half for distances in geometric steps.

    Source: Raffel et al. 2020 (T5), section 2.1.

    >>> distance_buckets(3, 8, 10).tolist()
    [[0, 5, 6], [1, 0, 5], [2, 1, 0]]
    """
    place = np.arange(length)
    offset = place[None, :] - place[:, None]
    distance, half = np.abs(offset), buckets // 2
    near = half // 2
    # In single precision, as steps between buckets lie where the original rounds them.
    ratio = np.maximum(distance, 1).astype(np.float32) / np.float32(near)
    steps = np.log(ratio) / np.float32(math.log(farthest / near)) * np.float32(half - near)
    far = np.minimum(near + steps.astype(np.int64), half - 1)
    return np.where(distance < near, distance, far) + np.where(offset > 0, half, 0)
