"""Layers that encoders share: attention and two layers, named as each original has them."""

import dataclasses
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from diffusion_jax.networks.attention import attend
from diffusion_jax.networks.encoders.base import Tokens
from diffusion_jax.networks.layers import activation, affine_layer_norm

SWIGLU = "swiglu"
Heads = Float[Array, "batch length heads head"]


def dense(features: int, std: float, name: str, dtype: str, use_bias: bool = True) -> nn.Dense:
    """A linear map whose kernel is drawn from N(0, std²) and whose bias is 0."""
    init = nn.initializers.normal(std)
    return nn.Dense(features, use_bias=use_bias, kernel_init=init, dtype=dtype, name=name)


@dataclasses.dataclass(frozen=True)
class AttentionStyle:
    """How an original's attention is made.

    Attributes:
        names: of the linear maps to queries, keys, values and the result.
        heads: number of heads.
        head_width: features of a head.
        stds: of the first values of these maps' kernels.
        use_bias: whether queries, keys and values have one.
        use_out_bias: whether the result has one.
        scale: of the logits; None is 1/sqrt(head_width).
        groups: heads of keys and values, each for as many heads of queries; None is `heads`.
        cap: of the logits, see `attend`.
        implementation: of `attend`.
        dtype: of the computation.
    """

    names: tuple[str, str, str, str]
    heads: int
    head_width: int
    stds: tuple[float, float, float, float]
    use_bias: bool = True
    use_out_bias: bool = True
    scale: float | None = None
    groups: int | None = None
    cap: float | None = None
    implementation: str = "xla"
    dtype: str = "float32"


class NamedAttention(nn.Module):
    """softmax(scale q kᵀ + bias) v, then a linear map.

    Source: Vaswani et al. 2017, Attention Is All You Need, eq. 1; Ainslie et al. 2023 (GQA), figure
    2, of heads that share keys and values.

    Attributes:
        style: how it is made.
    """

    style: AttentionStyle

    @nn.compact
    def __call__(
        self,
        h: Tokens,
        mask: Bool[Array, "#batch #heads #queries keys"] | None = None,
        bias: Float[Array, "#batch heads queries keys"] | None = None,
        turn: Callable[[Heads], Heads] | None = None,
    ) -> Tokens:
        """Lets every token look at those where mask is true.

        Args:
            h: the tokens.
            mask: what may look at what.
            bias: added to the logits.
            turn: what becomes of queries and keys before they meet.
        """
        style = self.style
        groups = style.groups or style.heads

        def project(name: str, std: float, heads: int) -> Array:
            flat = dense(heads * style.head_width, std, name, style.dtype, style.use_bias)(h)
            return flat.reshape(*h.shape[:2], heads, style.head_width)

        counts = style.heads, groups, groups
        query, key, value = map(project, style.names[:3], style.stds[:3], counts)
        if turn is not None:
            query, key = turn(query), turn(key)
        if groups < style.heads:
            key, value = (jnp.repeat(each, style.heads // groups, axis=2) for each in (key, value))
        how = style.implementation
        mixed = attend(query, key, value, mask, how, bias, style.scale, style.cap)
        out = dense(h.shape[-1], style.stds[3], style.names[3], style.dtype, style.use_out_bias)
        result: Array = out(mixed.reshape(*h.shape[:2], -1))
        return result


@dataclasses.dataclass(frozen=True)
class LayerStyle:
    """How an original's layers are made, which normalise before each part.

    Attributes:
        attention: its attention.
        name: of the attention.
        norms: names of the two norms.
        maps: names of the two linear maps that follow attention.
        hidden: features between these two.
        stds: of the first values of their kernels.
        act: activation between them; "swiglu" is silu of one half of twice as many features, times
            the other.
        epsilon: of the norms.
        scale: first value of what each feature of a branch's result is multiplied by; None leaves
            the result.
    """

    attention: AttentionStyle
    name: str
    norms: tuple[str, str]
    maps: tuple[str, str]
    hidden: int
    stds: tuple[float, float]
    act: str
    epsilon: float
    scale: float | None = None


class PreNormLayer(nn.Module):
    """h + attention(norm(h)), then h + two layers of norm(h).

    Source: Xiong et al. 2020, On Layer Normalization in the Transformer Architecture, figure 1;
    Touvron et al. 2021 (CaiT), section 2.1, of scaled branches.

    Attributes:
        style: how it is made.
    """

    style: LayerStyle

    @nn.compact
    def __call__(
        self, h: Tokens, mask: Bool[Array, "#batch #heads #queries keys"] | None = None
    ) -> Tokens:
        """The result of the layer."""
        style, dtype = self.style, self.style.attention.dtype
        first, second = (affine_layer_norm(style.epsilon, dtype, name) for name in style.norms)
        mixed = NamedAttention(style.attention, name=style.name)(first(h), mask)
        h = h + self._scaled(mixed, "layer_scale1")
        inner = self._activated(second(h))
        outer = dense(h.shape[-1], style.stds[1], style.maps[1], dtype)(inner)
        return h + self._scaled(outer, "layer_scale2")

    def _activated(self, h: Tokens) -> Float[Array, "batch length hidden"]:
        style, dtype = self.style, self.style.attention.dtype
        is_gated = style.act == SWIGLU
        features = style.hidden * (2 if is_gated else 1)
        inner = dense(features, style.stds[0], style.maps[0], dtype)(h)
        if not is_gated:
            return activation(style.act)(inner)
        gate, value = jnp.split(inner, 2, axis=-1)
        return nn.silu(gate) * value

    def _scaled(self, h: Tokens, name: str) -> Tokens:
        scale = self.style.scale
        return h if scale is None else LayerScale(scale, name=name)(h)


class LayerScale(nn.Module):
    """Each feature times a number that is trained.

    Source: Touvron et al. 2021 (CaiT), section 2.1.

    Attributes:
        first: the first value of these numbers.
    """

    first: float

    @nn.compact
    def __call__(self, h: Tokens) -> Tokens:
        """The scaled features."""
        init = nn.initializers.constant(self.first)
        return h * jnp.asarray(self.param("lambda1", init, (h.shape[-1],)), h.dtype)


@runtime_checkable
class ClipSettings(Protocol):
    """The settings that CLIP's encoders of captions and of pictures share."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    hidden_act: str
    layer_norm_eps: float
    attention_implementation: str
    dtype: str


def clip_layer(encoder: ClipSettings) -> LayerStyle:
    """The layers of CLIP's text and image encoders.

    Source: Radford et al. 2021 (CLIP), section 2.4; transformers, clip/modeling_clip.py.
    """
    width, heads = encoder.hidden_size, encoder.num_attention_heads
    inner, outer = (2 * encoder.num_hidden_layers * width) ** -0.5, width**-0.5
    attention = AttentionStyle(
        ("q_proj", "k_proj", "v_proj", "out_proj"),
        heads,
        width // heads,
        (inner, inner, inner, outer),
        implementation=encoder.attention_implementation,
        dtype=encoder.dtype,
    )
    return LayerStyle(
        attention,
        "self_attn",
        ("layer_norm1", "layer_norm2"),
        ("mlp.fc1", "mlp.fc2"),
        encoder.intermediate_size,
        ((2 * width) ** -0.5, inner),
        encoder.hidden_act,
        encoder.layer_norm_eps,
    )


def clip_projection(encoder: ClipSettings, features: int, name: str) -> nn.Dense:
    """The map of a pooled vector to where captions and pictures are compared."""
    return dense(features, encoder.hidden_size**-0.5, name, encoder.dtype, False)
