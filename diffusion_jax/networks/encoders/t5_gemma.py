"""The encoder of T5Gemma, which PRX reads prompts with."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32

from diffusion_jax.errors import UserError
from diffusion_jax.networks import checks
from diffusion_jax.networks.attention.implementations import FUSED
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
from diffusion_jax.networks.encoders.layers import AttentionStyle, Heads, NamedAttention, dense
from diffusion_jax.networks.layers import activation

STD = 0.02
SLIDING, FULL = "sliding_attention", "full_attention"


@encoders.register("t5_gemma")
class T5Gemma(Encoder):
    """Gemma 2's transformer in which each token sees those before and after it.

    Layers look at all tokens and at near ones in turn, places are rotations of queries and keys,
    heads share keys and values, logits are capped, and what a branch gives is normalised too. Where
    no mask is given, nothing looks at `pad_token_id`.

    Source: Zhang et al. 2025 (T5Gemma), section 2; Gemma Team 2024 (Gemma 2), section 2;
    T5GemmaEncoder of huggingface/transformers, whose names of parameters and settings these are.

    Attributes:
        vocab_size: number of ids.
        hidden_size: features of a token.
        intermediate_size: features within the layers after attention.
        num_hidden_layers: layers.
        num_attention_heads: heads of queries.
        num_key_value_heads: heads of keys and values; divides num_attention_heads.
        head_dim: features of a head, an even number.
        hidden_activation: of the layers after attention, before a second map multiplies it.
        rms_norm_eps: of norms.
        pad_token_id: the token that fills captions up.
        attention_bias: whether the maps of attention have one.
        query_pre_attn_scalar: logits are divided by its square root.
        sliding_window: how far near tokens are at most.
        layer_types: "sliding_attention" or "full_attention" for each layer; None is both in turn,
            near ones first.
        attn_logit_softcapping: cap of the logits; None for none.
        rope_theta: longest period of a rotation over 2 pi.
        rope_parameters: what newer configurations have in its place.
        attention_implementation: as of a `DiT`; "xla" where logits are capped.
        dtype: dtype of the computation; results are at least float32.

    Raises:
        UserError: a setting that cannot work.
    """

    original: ClassVar[str] = "T5GemmaEncoder"
    holders: ClassVar[dict[str, str]] = dict.fromkeys(
        ("T5GemmaEncoderModel", "T5GemmaModel", "T5GemmaForConditionalGeneration"), "encoder"
    )
    fixed: ClassVar[dict[str, Any]] = {
        **GENERIC,
        "eos_token_id": ANY,
        "final_logit_softcapping": ANY,  # of words that a decoder makes
        "max_position_embeddings": ANY,  # rotations have no longest caption
        "rope_scaling": None,
    }
    # Whole checkpoints hold the decoder as well.
    unused: ClassVar[tuple[str, ...]] = (r"decoder\..*", r"lm_head\..*", r".*inv_freq")
    aliases: ClassVar[tuple[tuple[str, str], ...]] = ((r"^model\.", ""), (r"^encoder\.", ""))

    vocab_size: int = 256000
    hidden_size: int = 2304
    intermediate_size: int = 9216
    num_hidden_layers: int = 26
    num_attention_heads: int = 8
    num_key_value_heads: int = 4
    head_dim: int = 256
    hidden_activation: str = "gelu_pytorch_tanh"
    rms_norm_eps: float = 1e-6
    pad_token_id: int = 0
    attention_bias: bool = False
    query_pre_attn_scalar: float = 256
    sliding_window: int = 4096
    layer_types: tuple[str, ...] | None = None
    attn_logit_softcapping: float | None = 50.0
    rope_theta: float = 10000.0
    rope_parameters: Mapping[str, Any] | None = None
    attention_implementation: str = "xla"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        owner, heads, width = "t5_gemma", self.num_attention_heads, self.head_dim
        counts = (
            *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"),
            *("num_attention_heads", "num_key_value_heads", "head_dim", "sliding_window"),
        )
        checks.positive_integers(owner, **{name: getattr(self, name) for name in counts})
        checks.counts(owner, pad_token_id=self.pad_token_id)
        groups = self.num_key_value_heads
        checks.divides(owner, heads, "num_attention_heads", groups, "the heads of keys and values")
        checks.divides(owner, width, "head_dim", 2, "as pairs of features turn")
        inner = 2 * (heads + groups) * width + 3 * self.intermediate_size
        weights = self.num_hidden_layers * self.hidden_size * inner
        checks.size(owner, self.num_hidden_layers, weights + self.vocab_size * self.hidden_size)
        checks.attention(owner, self.attention_implementation, [width], self.dtype)
        checks.switch(owner, attention_bias=self.attention_bias)
        activation(self.hidden_activation)
        self._check_attention()

    def _check_attention(self) -> None:
        """Refuses kinds of attention and of rotations that are not here."""
        fused = self.attention_implementation in FUSED.values()
        if self.attn_logit_softcapping is not None and fused:
            raise UserError(
                f"t5_gemma: attention_implementation={self.attention_implementation!r} caps no "
                "logits: use 'xla', or attn_logit_softcapping=None with parameters trained so."
            )
        kinds = self._kinds()
        if len(kinds) != self.num_hidden_layers or not {SLIDING, FULL}.issuperset(kinds):
            raise UserError(
                f"t5_gemma: layer_types must be {SLIDING!r} or {FULL!r} for each of "
                f"{self.num_hidden_layers} layers, got {kinds}."
            )
        told = dict(self.rope_parameters or {})
        if told.pop("rope_type", "default") != "default" or told.keys() - {"rope_theta"}:
            raise UserError(
                "t5_gemma: rope_parameters must be rope_theta with rope_type='default', got "
                f"{dict(self.rope_parameters or {})}."
            )

    @nn.nowrap
    def _kinds(self) -> tuple[str, ...]:
        layers = range(self.num_hidden_layers)
        return self.layer_types or tuple(FULL if i % 2 else SLIDING for i in layers)

    @property
    def width(self) -> int:
        """Features of a token."""
        return self.hidden_size

    def setup(self) -> None:
        """Names the parts."""
        init = nn.initializers.normal(STD)
        self.embed_tokens = nn.Embed(
            self.vocab_size, self.hidden_size, dtype=self.dtype, embedding_init=init
        )
        style = AttentionStyle(
            ("q_proj", "k_proj", "v_proj", "o_proj"),
            self.num_attention_heads,
            self.head_dim,
            (STD, STD, STD, STD),
            use_bias=self.attention_bias,
            use_out_bias=self.attention_bias,
            scale=self.query_pre_attn_scalar**-0.5,
            groups=self.num_key_value_heads,
            cap=self.attn_logit_softcapping,
            implementation=self.attention_implementation,
            dtype=self.dtype,
        )
        act, hidden = self.hidden_activation, self.intermediate_size
        self.layers = [
            GemmaLayer(style, hidden, act, self.rms_norm_eps, name=f"layers.{i}")
            for i in range(self.num_hidden_layers)
        ]
        self.norm = OffsetNorm(self.rms_norm_eps, self.dtype)

    def __call__(self, ids: Ids, mask: Mask | None = None) -> Encoding:
        length = ids.shape[-1]
        there = ids != self.pad_token_id if mask is None else mask
        place = jnp.arange(length)
        near = abs(place[:, None] - place) <= self.sliding_window
        allowed = {FULL: there[:, None, None, :], SLIDING: there[:, None, None, :] & near}
        theta = (self.rope_parameters or {}).get("rope_theta", self.rope_theta)
        turn = halves_turned(length, self.head_dim, theta)
        words = self.embed_tokens(ids)
        hidden = [words * jnp.asarray(self.hidden_size**0.5, words.dtype)]
        for layer, kind in zip(self.layers, self._kinds(), strict=True):
            hidden.append(layer(hidden[-1], allowed[kind], turn))
        tokens = self.norm(hidden[-1])
        return Encoding(at_least_single(tokens), None, tuple(map(at_least_single, hidden)))

    def normalise(self, hidden: Tokens) -> Tokens:
        """The last norm, for the result of a layer before the last."""
        return at_least_single(self.norm(hidden))


class GemmaLayer(nn.Module):
    """h + norm(attention(norm(h))), then h + norm(Dense(act(Dense(norm(h))) Dense(norm(h)))).

    Source: Gemma Team 2024 (Gemma 2), section 2.

    Attributes:
        attention: how its attention is made.
        hidden: features within.
        act: the activation.
        epsilon: of the norms.
    """

    attention: AttentionStyle
    hidden: int
    act: str
    epsilon: float

    @nn.compact
    def __call__(
        self, h: Tokens, mask: Bool[Array, "..."], turn: Callable[[Heads], Heads]
    ) -> Tokens:
        """The result of the layer."""
        dtype = self.attention.dtype

        def norm(name: str) -> OffsetNorm:
            return OffsetNorm(self.epsilon, dtype, name=f"{name}_layernorm")

        def mapped(x: Tokens, features: int, name: str) -> Array:
            result: Array = dense(features, STD, f"mlp.{name}", dtype, use_bias=False)(x)
            return result

        mixed = NamedAttention(self.attention, name="self_attn")(
            norm("pre_self_attn")(h), mask, turn=turn
        )
        h = h + norm("post_self_attn")(mixed)
        within = norm("pre_feedforward")(h)
        gate = activation(self.act)(mapped(within, self.hidden, "gate_proj"))
        inner = gate * mapped(within, self.hidden, "up_proj")
        return h + norm("post_feedforward")(mapped(inner, h.shape[-1], "down_proj"))


class OffsetNorm(nn.Module):
    """x (1 + w) / rms(x): an RMS norm whose parameters start at 0.

    Source: Zhang & Sennrich 2019 (RMSNorm), eq. 4; Gemma's, as in huggingface/transformers.

    Attributes:
        epsilon: added to the mean square.
        dtype: of the result.
    """

    epsilon: float
    dtype: str

    @nn.compact
    def __call__(self, x: Float[Array, "... features"]) -> Float[Array, "... features"]:
        """The norm of the last axis."""
        weight = self.param("weight", nn.initializers.zeros_init(), (x.shape[-1],))
        wide = at_least_single(x)
        scaled = wide / jnp.sqrt((wide**2).mean(-1, keepdims=True) + self.epsilon)
        return (scaled * (1 + at_least_single(weight))).astype(self.dtype)


def halves_turned(length: int, width: int, theta: float) -> Callable[[Heads], Heads]:
    """Turns features k and k + width/2 of a head by p theta^(-2k/width), p the token's place.

    Source: Su et al. 2021 (RoFormer), section 3.2.2, with the pairs of GPT-NeoX.

    Args:
        length: tokens.
        width: features of a head, an even number.
        theta: longest period over 2 pi.

    >>> turn = halves_turned(2, 2, 10.0)
    >>> turned = turn(jnp.ones((1, 2, 1, 2)))
    >>> bool(jnp.allclose(turned[0, :, 0], jnp.array([[1, 1], [-0.30117, 1.38177]]), atol=1e-5))
    True
    """
    # Angles in single precision, as the original's.
    pace = (1 / theta ** (np.arange(0, width, 2) / width)).astype(np.float32)
    angle = np.outer(np.arange(length, dtype=np.float32), pace).astype(np.float64)
    cos, sin = (_single(each)[:, None] for each in (np.cos(angle), np.sin(angle)))

    def turn(x: Heads) -> Heads:
        first, second = jnp.split(x, 2, axis=-1)
        c, s = (jnp.asarray(each, x.dtype) for each in (cos, sin))
        return jnp.concatenate([first * c - second * s, second * c + first * s], axis=-1)

    return turn


def _single(array: np.ndarray) -> Float32[np.ndarray, "..."]:
    return array.astype(np.float32)
