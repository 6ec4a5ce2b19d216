"""DiT: a transformer over the patches of a picture, steered by noise level and text."""

import functools

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from diffusion_jax.errors import one_of
from diffusion_jax.networks import checks
from diffusion_jax.networks.attention import Attention, is_perturbed
from diffusion_jax.networks.base import networks
from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.networks.embeddings import NoiseEmbedding, grid_features
from diffusion_jax.networks.initializers import Dense
from diffusion_jax.networks.patches import from_patches, to_patches
from diffusion_jax.networks.rematerialise import rematerialised

Tokens = Float[Array, "batch tokens width"]
Embedding = Float[Array, "batch embedding"]


@networks.register("dit")
class DiT(nn.Module):
    """Diffusion transformer with adaLN-zero blocks.

    Each patch of the picture is a token with a fixed 2-D sin-cos position. The embedding of
    noise level and pooled text scales, shifts and gates every block (adaLN-zero). Words enter
    by cross-attention (`text="cross"`), as further tokens of the same sequence (`text="joint"`),
    or not at all (`text="pooled"`): classes need no more than the embedding.

    Source: Peebles & Xie 2022, Scalable Diffusion Models with Transformers, sec. 3.2.

    Attributes:
        patch: side of a patch in pixels.
        width: features of a token, a multiple of 4 and of heads.
        depth: number of blocks.
        heads: attention heads.
        text: "cross", "joint" or "pooled".
        dropout: fraction of hidden activations dropped in each block while training.
        remat: compute each block again in the backward pass rather than keep what it computed:
            a third more work, and much less memory.
        attention_implementation: "xla", or fused attention, for heads of a multiple of 8 features
            in bfloat16: "cudnn" on NVIDIA GPUs, "pallas" on TPUs; "auto" is the fused one where
            there is one. Programs that differentiate forward get "xla" always.
        perturbed: self-attentions, numbered from 0 in the order of blocks, whose map is the
            identity; () is all, None none. For guidance; the parameters are the same.
        outputs: channels of the result for each channel of x; 2 with a variance.
        dtype: dtype of the computation; parameters and result are float32.

    Raises:
        UserError: a setting that cannot work, or a picture whose sides are not multiples of
            patch.

    >>> import jax
    >>> network = DiT(patch=2, width=8, depth=1, heads=2)
    >>> x, c_noise = jnp.zeros((1, 8, 8, 3)), jnp.zeros(1)
    >>> jax.eval_shape(network.init_with_output, jax.random.key(0), x, c_noise)[0].shape
    (1, 8, 8, 3)
    """

    patch: int = 2
    width: int = 256
    depth: int = 6
    heads: int = 4
    text: str = "cross"
    dropout: float = 0.0
    remat: bool = False
    attention_implementation: str = "xla"
    perturbed: tuple[int, ...] | None = None
    outputs: int = 1
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive_integers(
            "dit", patch=self.patch, width=self.width, depth=self.depth, heads=self.heads
        )
        checks.divides("dit", self.width, "width", 4, "for sines and cosines of two axes")
        checks.divides("dit", self.width, "width", self.heads, "the number of heads")
        checks.positive_integers("dit", outputs=self.outputs)
        checks.size("dit", self.depth, 18 * self.depth * self.width**2)
        checks.fraction("dit", dropout=self.dropout)
        checks.switch("dit", remat=self.remat)
        one_of(self.text, ("cross", "joint", "pooled"), "entry of text into a dit")
        widths = [self.width // self.heads]
        checks.attention("dit", self.attention_implementation, widths, self.dtype)

    @property
    def self_attentions(self) -> int:
        """How many there are."""
        return self.depth

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch height width channels"],
        c_noise: Float[Array, "batch *numbers"],
        context: Context | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "batch height width outputs"]:
        """Returns the network's raw prediction; arguments as in `UNet`."""
        checks.picture_fits("dit", x.shape, self.patch, "its patch")
        pooled = None if context is None else context.pooled
        embedding = NoiseEmbedding(self.width, self.dtype)(c_noise, pooled)
        cells = to_patches(x.astype(self.dtype), self.patch)
        batch, rows, columns, features = cells.shape
        h = Dense(self.width, dtype=self.dtype, name="patches")(cells)
        h += grid_features(rows, columns, self.width).astype(self.dtype)
        h = h.reshape(batch, rows * columns, self.width)
        words, words_mask, mask = None, None, None
        if context is not None and self.text != "pooled":
            words = Dense(self.width, dtype=self.dtype, name="words")(context.tokens)
            words_mask = context.mask
        if self.text == "joint" and words is not None and words_mask is not None:
            h = jnp.concatenate([words, h], axis=1)
            mask = jnp.pad(words_mask, ((0, 0), (0, rows * columns)), constant_values=True)
            words, words_mask = None, None
        block = rematerialised(DiTBlock) if self.remat else DiTBlock
        settings = self.heads, self.dropout, self.dtype, self.attention_implementation
        for i in range(self.depth):
            call = block(*settings, is_perturbed(i, self.perturbed), name=f"block_{i}")
            h = call(h, mask, embedding, words, words_mask, deterministic)
        features *= self.outputs
        h = self._project(h[:, -rows * columns :], embedding, features)
        h = h.reshape(batch, rows, columns, features)
        return from_patches(h, self.patch).astype(jnp.float32)

    def _project(
        self, h: Tokens, embedding: Embedding, features: int
    ) -> Float[Array, "batch tokens features"]:
        shift, scale = modulations(embedding, self.width, 2, self.dtype)
        h = layer_norm(self.dtype)(h) * (1 + scale) + shift
        zeros = nn.initializers.zeros_init()
        return Dense(features, kernel_init=zeros, dtype=self.dtype, name="zero_out")(h)


class DiTBlock(nn.Module):
    """Attention and a GELU layer, each scaled, shifted and gated by the embedding.

    Gates start at zero, so that the block starts as the identity. Attention to words, if there
    are any, stands between the two, with a last map that starts at zero.

    Attributes:
        heads: of each attention.
        dropout: share of the hidden units that are dropped while training.
        dtype: of the computation.
        attention_implementation: see `attention.attend`.
        perturbed: whether self-attention is left out, for guidance.

    Source: Peebles & Xie 2023 (DiT), section 3.2 (adaLN-Zero).
    """

    heads: int
    dropout: float
    dtype: str
    attention_implementation: str = "xla"
    perturbed: bool = False

    @nn.compact
    def __call__(
        self,
        h: Tokens,
        mask: Bool[Array, "batch tokens"] | None,
        embedding: Embedding,
        words: Float[Array, "batch words width"] | None,
        words_mask: Bool[Array, "batch words"] | None,
        deterministic: bool,
    ) -> Tokens:
        width = h.shape[-1]
        steer = modulations(embedding, width, 6, self.dtype)
        hidden = layer_norm(self.dtype)(h) * (1 + steer[1]) + steer[0]
        attention = functools.partial(
            Attention, self.heads, dtype=self.dtype, implementation=self.attention_implementation
        )
        h += steer[2] * attention(perturbed=self.perturbed, name="self")(hidden, hidden, mask)
        if words is not None:
            cross = attention(zero=True, name="cross")
            h += cross(layer_norm(self.dtype)(h), words, words_mask)
        hidden = layer_norm(self.dtype)(h) * (1 + steer[4]) + steer[3]
        hidden = nn.gelu(Dense(4 * width, dtype=self.dtype, name="expand")(hidden))
        hidden = nn.Dropout(self.dropout)(hidden, deterministic=deterministic)
        return h + steer[5] * Dense(width, dtype=self.dtype, name="contract")(hidden)


def modulations(
    embedding: Embedding, width: int, count: int, dtype: str
) -> list[Float[Array, "batch 1 width"]]:
    """Linear maps of the embedding that start at zero: shifts, scales and gates."""
    zeros = nn.initializers.zeros_init()
    dense = Dense(count * width, kernel_init=zeros, dtype=dtype, name="zero_modulation")
    return jnp.split(dense(embedding)[:, None], count, axis=-1)


def layer_norm(dtype: str) -> nn.LayerNorm:
    """Layer norm without scale and shift of its own: the embedding supplies them."""
    return nn.LayerNorm(use_bias=False, use_scale=False, dtype=dtype)
