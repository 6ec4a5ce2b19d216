"""Attention blocks of diffusers' U-Nets and autoencoder: among cells, and to the words."""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from diffusion_jax.networks.attention import attend, is_perturbed
from diffusion_jax.networks.layers import Conv, Linear, affine_group_norm, affine_layer_norm

Grid = Float[Array, "batch height width channels"]
Rows = Float[Array, "batch rows width"]
Text = tuple[Float[Array, "batch words text"], Bool[Array, "batch words"]]
"""Vectors of words, and where they are words."""

TRANSFORMER_EPSILON = 1e-6  # of the norm before a transformer; its own layer norms have 1e-5
LAYER_NORM_EPSILON = 1e-5


@dataclasses.dataclass(frozen=True)
class LevelAttention:
    """What attentions of a level share.

    Attributes:
        heads: how many.
        head_width: features of each.
        groups: of the norm before; None for none.
        epsilon: of that norm.
        output_scale: divides the result, skip included.
        blocks: of each transformer, one number for each in turn; () where cells attend to cells
            alone.
        linear: a transformer's first and last map are linear, and no convolutions.
        only_cross: the first attention of a transformer's block is to the words, too.
        first: number of the first self-attention among all of the network.
        perturbed: self-attentions, by those numbers, whose map is the identity, as of a `DiT`.
        implementation: of attention, as of a `DiT`.
        remat: compute transformer blocks again in the backward pass.
        dtype: dtype of the computation.
    """

    heads: int
    head_width: int
    groups: int | None
    epsilon: float = 1e-6
    output_scale: float = 1.0
    blocks: tuple[int, ...] = ()
    linear: bool = False
    only_cross: bool = False
    first: int = 0
    perturbed: tuple[int, ...] | None = None
    implementation: str = "xla"
    remat: bool = False
    dtype: str = "float32"


def attended(
    rows: Rows,
    context: Float[Array, "batch keys text"],
    mask: Bool[Array, "batch keys"] | None,
    style: LevelAttention,
    bias: bool,
    perturbed: bool = False,
) -> Rows:
    """Multi-head attention with a last linear map; its layers are those of the calling module.

    Args:
        rows: that ask.
        context: that are looked at.
        mask: where they are; None is everywhere.
        style: number and width of heads.
        bias: of queries, keys and values.
        perturbed: every row looks at its own alone.
    """
    inner = style.heads * style.head_width

    def project(x: Array, name: str) -> Float[Array, "batch some heads head"]:
        flat = Linear(inner, use_bias=bias, dtype=style.dtype, name=name)(x)
        return flat.reshape(*x.shape[:2], style.heads, style.head_width)

    query, key, value = project(rows, "to_q"), project(context, "to_k"), project(context, "to_v")
    allowed = None if mask is None else mask[:, None, None, :]
    mixed = value
    if not perturbed:
        mixed = attend(query, key, value, allowed, style.implementation)
    flat = mixed.reshape(*rows.shape[:2], inner)
    return Linear(rows.shape[-1], dtype=style.dtype, name="to_out.0")(flat)


class CellAttention(nn.Module):
    """(x + attention among the cells of norm(x))/output_scale.

    Source: Ho et al. 2020 (DDPM), appendix B.

    Attributes:
        style: what attentions share.
        number: of this self-attention.
    """

    style: LevelAttention
    number: int = 0

    @nn.compact
    def __call__(self, x: Grid) -> Grid:
        batch, height, width, channels = x.shape
        style, h = self.style, x
        if style.groups is not None:
            norm = affine_group_norm(
                style.groups, channels, style.epsilon, style.dtype, "group_norm"
            )
            h = norm(x)
        rows = h.reshape(batch, height * width, channels)
        alone = is_perturbed(self.number, style.perturbed)
        mixed = attended(rows, rows, None, style, bias=True, perturbed=alone)
        return (x + mixed.reshape(x.shape)) / style.output_scale


class Transformer(nn.Module):
    """x + the maps of norm(x) into and out of transformer blocks over cells and words.

    Source: Rombach et al. 2022 (latent diffusion), appendix E.2.1; huggingface/diffusers,
    models/transformers/transformer_2d.py.

    Attributes:
        style: what attentions share.
        blocks: how many.
        number: of the first self-attention.
    """

    style: LevelAttention
    blocks: int
    number: int = 0

    @nn.compact
    def __call__(self, x: Grid, text: Text) -> Grid:
        batch, height, width, channels = x.shape
        style = self.style
        assert style.groups is not None, "a transformer has a norm"
        norm = affine_group_norm(style.groups, channels, TRANSFORMER_EPSILON, style.dtype, "norm")
        inner = style.heads * style.head_width
        h = self._map(inner, "proj_in")(norm(x)).reshape(batch, height * width, inner)
        block = nn.remat(TransformerBlock) if style.remat else TransformerBlock
        for i in range(self.blocks):
            alone = is_perturbed(self.number + i, style.perturbed) and not style.only_cross
            h = block(style, alone, name=f"transformer_blocks.{i}")(h, *text)
        return x + self._map(channels, "proj_out")(h.reshape(batch, height, width, inner))

    def _map(self, features: int, name: str) -> Linear | Conv:
        if self.style.linear:
            return Linear(features, dtype=self.style.dtype, name=name)
        return Conv(features, 1, dtype=self.style.dtype, name=name)


class TransformerBlock(nn.Module):
    """Attention among cells, attention to words, and a gated layer, each after a norm.

    Source: Vaswani et al. 2017; Shazeer 2020 (GLU variants), eq. 5, for the layer.

    Attributes:
        style: what attentions share.
        perturbed: the first attention's map is the identity.
    """

    style: LevelAttention
    perturbed: bool = False

    @nn.compact
    def __call__(
        self,
        h: Rows,
        tokens: Float[Array, "batch words text"],
        mask: Bool[Array, "batch words"],
    ) -> Rows:
        style = self.style
        norms = [affine_layer_norm(LAYER_NORM_EPSILON, style.dtype, f"norm{i}") for i in (1, 2, 3)]
        cells = norms[0](h)
        first = MultiHead(style, self.perturbed, name="attn1")
        # Where even the first attention is to the words, the original gives it no mask.
        h += first(cells, tokens if style.only_cross else cells, None)
        h += MultiHead(style, name="attn2")(norms[1](h), tokens, mask)
        width = h.shape[-1]
        hidden = Linear(8 * width, dtype=style.dtype, name="ff.net.0.proj")(norms[2](h))
        value, gate = jnp.split(hidden, 2, axis=-1)
        hidden = value * nn.gelu(gate, approximate=False)
        return h + Linear(width, dtype=style.dtype, name="ff.net.2")(hidden)


class MultiHead(nn.Module):
    """`attended` as a module of its own, without biases of queries, keys and values."""

    style: LevelAttention
    perturbed: bool = False

    @nn.compact
    def __call__(
        self,
        rows: Rows,
        context: Float[Array, "batch keys text"],
        mask: Bool[Array, "batch keys"] | None,
    ) -> Rows:
        return attended(rows, context, mask, self.style, False, self.perturbed)
