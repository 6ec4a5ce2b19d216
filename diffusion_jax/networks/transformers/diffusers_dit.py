"""DiT in the layout of diffusers, whose blocks embed timestep and class each for itself."""

from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
from jaxtyping import Array, Float

from diffusion_jax.networks import checks
from diffusion_jax.networks.attention import is_perturbed
from diffusion_jax.networks.base import networks
from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.networks.configurations import ANY, rows, told
from diffusion_jax.networks.patches import from_patches
from diffusion_jax.networks.rematerialise import rematerialised
from diffusion_jax.networks.transformers.embeddings import (
    ClassTable,
    TimestepEmbedding,
    timestep_features,
    wide,
)
from diffusion_jax.networks.transformers.feed_forward import FeedForward, check_activation
from diffusion_jax.networks.transformers.layers import (
    PatchProjection,
    Tokens,
    Vector,
    ZeroDense,
    layer_norm,
    modulate,
    modulations,
)
from diffusion_jax.networks.transformers.positions import sincos_table
from diffusion_jax.networks.transformers.projected_attention import ProjectedAttention

OWNER = "diffusers_dit"


@networks.register(OWNER)
class DiffusersDiT(nn.Module):
    """DiT as diffusers' DiTTransformer2DModel: adaLN-zero blocks with embeddings of their own.

    The same network as `OriginalDiT` but for how its parameters are named and parted, the last
    frequency of the timestep's features, and places that are stretched to `sample_size`. It is
    called with timesteps 0 … 999, and `context.pooled` is a one-hot vector of the classes and,
    last, of no class; without a context there is no class. The released DiT-XL/2 has the default
    settings and `outputs=2`.

    Source: Peebles & Xie 2022, Scalable Diffusion Models with Transformers; diffusers 0.42,
    dit_transformer_2d.py.

    Attributes:
        num_attention_heads: attention heads.
        attention_head_dim: features of a head; the product of the two is a multiple of 4.
        num_layers: number of blocks.
        patch_size: side of a patch.
        sample_size: side of the pictures that it was trained on.
        dropout: fraction of activations dropped in each block while training.
        attention_bias: whether queries, keys and values have one.
        activation_fn: of the layer after attention, a name in `feed_forward.ACTIVATIONS`.
        norm_elementwise_affine: whether the norm before that layer has a scale and a shift.
        norm_eps: of that norm.
        remat: compute each block again in the backward pass rather than keep what it computed.
        attention_implementation: "xla", "cudnn", "pallas" or "auto", as of `attend`.
        perturbed: self-attentions whose map is the identity; () is all, None none.
        dtype: dtype of the computation; parameters are float32.
        outputs: channels of the result for each channel of x; 2 with a variance.
        out_channels: channels of the result; None is `outputs` times those of x.

    Raises:
        UserError: a setting that cannot work, or a picture whose sides are not multiples of
            patch_size.
    """

    num_attention_heads: int = 16
    attention_head_dim: int = 72
    num_layers: int = 28
    patch_size: int = 2
    sample_size: int = 32
    dropout: float = 0.0
    attention_bias: bool = True
    activation_fn: str = "gelu-approximate"
    norm_elementwise_affine: bool = False
    norm_eps: float = 1e-5
    remat: bool = False
    attention_implementation: str = "xla"
    perturbed: tuple[int, ...] | None = None
    dtype: str = "float32"
    outputs: int = 1
    out_channels: int | None = None

    original: ClassVar[str] = "DiTTransformer2DModel"
    fixed: ClassVar[dict[str, object]] = {
        "norm_type": "ada_norm_zero",
        "in_channels": ANY,  # those of the pictures that it is given
        "num_embeds_ada_norm": ANY,  # one less than the entries of the one-hot vector
        "norm_num_groups": ANY,  # of another norm_type
        "upcast_attention": ANY,  # the softmax is always at least in float32
    }

    @nn.nowrap
    def example(self, configuration: Mapping[str, Any]) -> tuple[Any, ...]:
        """Shapes of the inputs of a call."""
        x = rows(self.sample_size, self.sample_size, configuration.get("in_channels", 4))
        return x, rows(), told(pooled=configuration.get("num_embeds_ada_norm", 1000) + 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.transformer(OWNER, self)
        checks.places(OWNER, self.width, self.patch_size, self.sample_size)
        checks.positive_integers(OWNER, outputs=self.outputs)
        checks.fraction(OWNER, dropout=self.dropout)
        checks.switch(
            OWNER,
            attention_bias=self.attention_bias,
            norm_elementwise_affine=self.norm_elementwise_affine,
        )
        check_activation(OWNER, self.activation_fn)

    @property
    def width(self) -> int:
        """Features of a token."""
        return self.num_attention_heads * self.attention_head_dim

    @property
    def self_attentions(self) -> int:
        """How many there are."""
        return self.num_layers

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch height width channels"],
        c_noise: Float[Array, "batch *numbers"],
        context: Context | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "batch height width outputs"]:
        """Returns the network's raw prediction; arguments as in `UNet`."""
        checks.picture_fits(OWNER, x.shape, self.patch_size, "its patch_size")
        patches = PatchProjection(self.patch_size, self.width, self.dtype, name="pos_embed.proj")(x)
        rows, columns = patches.shape[1:3]
        base = self.sample_size // self.patch_size
        h = patches + sincos_table(rows, columns, self.width, base).astype(self.dtype)
        h = h.reshape(len(x), rows * columns, self.width)
        features = timestep_features(c_noise, dtype=self.dtype, angles="float32", shift=1.0)
        kind = rematerialised(DiffusersDiTBlock) if self.remat else DiffusersDiTBlock
        conditions = []
        for i in range(self.num_layers):
            conditions.append(self._condition(i, features, context))
            block = kind(
                self.num_attention_heads,
                self.attention_head_dim,
                self.dropout,
                self.attention_bias,
                self.activation_fn,
                self.norm_elementwise_affine,
                self.norm_eps,
                self.dtype,
                self.attention_implementation,
                is_perturbed(i, self.perturbed),
                name=f"transformer_blocks.{i}",
            )
            h = block(h, conditions[i], deterministic)
        shift, scale = modulations(conditions[0], 2, self.dtype, "proj_out_1")
        h = modulate(layer_norm(1e-6, self.dtype)(h), shift, scale)
        channels = self.patch_size**2 * (self.out_channels or self.outputs * x.shape[-1])
        h = ZeroDense(channels, dtype=self.dtype, name="proj_out_2")(h)
        h = h.reshape(len(x), rows, columns, channels)
        return from_patches(h, self.patch_size).astype(wide(self.dtype))

    def _condition(
        self, i: int, features: Float[Array, "batch features"], context: Context | None
    ) -> Vector:
        """What steers block i, from parameters that are the block's in the original."""
        owner = f"transformer_blocks.{i}.norm1.emb"
        layers = "linear_1", "linear_2"
        name = f"{owner}.timestep_embedder"
        condition = TimestepEmbedding(self.width, layers, self.dtype, name=name)(features)
        if context is not None:
            name = f"{owner}.class_embedder.embedding_table"
            condition += ClassTable(self.width, self.dtype, name=name)(context.pooled)
        return condition


class DiffusersDiTBlock(nn.Module):
    """Attention and the layer after it, each scaled, shifted and gated by the condition."""

    heads: int
    head_width: int
    dropout: float
    attention_bias: bool
    activation: str
    affine: bool
    epsilon: float
    dtype: str
    attention_implementation: str
    perturbed: bool

    @nn.compact
    def __call__(self, h: Tokens, condition: Vector, deterministic: bool) -> Tokens:
        steer = modulations(condition, 6, self.dtype, "norm1.linear")
        attention = ProjectedAttention(
            self.heads,
            self.head_width,
            self.dtype,
            self.attention_implementation,
            self.attention_bias,
            self.perturbed,
            self.dropout,
            name="attn1",
        )
        hidden = modulate(layer_norm(1e-6, self.dtype)(h), steer[0], steer[1])
        h += steer[2][:, None] * attention(hidden, None, None, deterministic)
        norm = layer_norm(self.epsilon, self.dtype, self.affine, name="norm3")
        hidden = modulate(norm(h), steer[3], steer[4])
        layer = FeedForward(self.activation, self.dtype, self.dropout, name="ff")
        return h + steer[5][:, None] * layer(hidden, deterministic)
