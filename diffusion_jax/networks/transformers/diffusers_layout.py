"""What transformers over patches share that are configured as diffusers configures them."""

from collections.abc import Callable
from typing import ClassVar

import flax.linen as nn
from jaxtyping import Array, Float, Shaped

from diffusion_jax.networks import checks
from diffusion_jax.networks.attention import is_perturbed
from diffusion_jax.networks.patches import from_patches
from diffusion_jax.networks.rematerialise import rematerialised
from diffusion_jax.networks.transformers.embeddings import wide
from diffusion_jax.networks.transformers.feed_forward import FeedForward, check_activation
from diffusion_jax.networks.transformers.layers import (
    PatchProjection,
    Tokens,
    Vector,
    ZeroDense,
    layer_norm,
    modulate,
)
from diffusion_jax.networks.transformers.projected_attention import ProjectedAttention

Table = Shaped[Array, "rows columns width"]


class PatchTransformer(nn.Module):
    """Patches as tokens, blocks, and a picture of what the tokens become.

    Attributes:
        num_attention_heads: attention heads.
        attention_head_dim: features of a head; the product of the two is a multiple of 4.
        num_layers: number of blocks.
        patch_size: side of a patch.
        sample_size: side of the pictures that it was trained on.
        remat: compute each block again in the backward pass rather than keep what it computed.
        attention_implementation: "xla", or "cudnn" for NVIDIA GPUs in bfloat16.
        perturbed: self-attentions whose map is the identity; () is all, None none.
        dtype: dtype of the computation; parameters are float32.
        outputs: channels of the result for each channel of x; 2 with a variance.
        out_channels: channels of the result; None is `outputs` times those of x.
    """

    num_attention_heads: int = 16
    attention_head_dim: int = 72
    num_layers: int = 28
    patch_size: int = 2
    sample_size: int = 32
    remat: bool = False
    attention_implementation: str = "xla"
    perturbed: tuple[int, ...] | None = None
    dtype: str = "float32"
    outputs: int = 1
    out_channels: int | None = None

    owner: ClassVar[str] = "transformer"

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.transformer(self.owner, self)
        checks.places(self.owner, self.width, self.patch_size, self.sample_size)
        checks.positive_integers(self.owner, outputs=self.outputs)

    @property
    def width(self) -> int:
        """Features of a token."""
        return self.num_attention_heads * self.attention_head_dim

    @property
    def self_attentions(self) -> int:
        """How many blocks attend to the picture."""
        return self.num_layers

    def _patched(
        self,
        x: Float[Array, "batch height width channels"],
        places: Callable[[int, int], Table],
    ) -> tuple[Float[Array, "batch tokens features"], tuple[int, int]]:
        """A token for each patch, with its place, and how many rows and columns there are.

        Raises:
            UserError: sides that are no multiples of patch_size.
        """
        checks.picture_fits(self.owner, x.shape, self.patch_size, "its patch_size")
        patches = PatchProjection(self.patch_size, self.width, self.dtype, name="pos_embed.proj")(x)
        rows, columns = patches.shape[1:3]
        h = patches + places(rows, columns).astype(self.dtype)
        return h.reshape(len(x), rows * columns, self.width), (rows, columns)

    def _picture(
        self,
        h: Float[Array, "batch tokens features"],
        sides: tuple[int, int],
        channels: int,
        name: str,
    ) -> Float[Array, "batch height width outputs"]:
        """The picture that tokens become by a linear map of that name.

        Args:
            h: the tokens, normalised.
            sides: rows and columns.
            channels: of x.
            name: of the map.
        """
        features = self.patch_size**2 * (self.out_channels or self.outputs * channels)
        h = ZeroDense(features, dtype=self.dtype, name=name)(h)
        h = h.reshape(len(h), *sides, features)
        return from_patches(h, self.patch_size).astype(wide(self.dtype))


class SteeredTransformer(PatchTransformer):
    """Such a transformer whose blocks are of attention and a layer, scaled and shifted.

    Attributes:
        dropout: fraction of activations dropped in each block while training.
        attention_bias: whether queries, keys and values have one.
        activation_fn: of the layer after attention, a name in `feed_forward.ACTIVATIONS`.
        norm_elementwise_affine: whether norms within blocks have a scale and a shift.
        norm_eps: of these norms.
        others: as of a `PatchTransformer`.
    """

    dropout: float = 0.0
    attention_bias: bool = True
    activation_fn: str = "gelu-approximate"
    norm_elementwise_affine: bool = False
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.fraction(self.owner, dropout=self.dropout)
        checks.switch(
            self.owner,
            attention_bias=self.attention_bias,
            norm_elementwise_affine=self.norm_elementwise_affine,
        )
        check_activation(self.owner, self.activation_fn)

    def _block(self, kind: type["SteeredBlock"], i: int) -> nn.Module:
        """Block i, of that class."""
        made = rematerialised(kind) if self.remat else kind
        block: nn.Module = made(
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
        return block


class SteeredBlock(nn.Module):
    """The parts of such a block; how they follow each other its class says."""

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

    def _attention(self, name: str, perturbed: bool, zero: bool = False) -> ProjectedAttention:
        """An attention, whose last map starts at 0 if `zero`."""
        settings = self.heads, self.head_width, self.dtype, self.attention_implementation
        own = self.attention_bias, perturbed, self.dropout, zero
        return ProjectedAttention(*settings, *own, name=name)

    def _normalised(self, h: Tokens, name: str, shift: Vector, scale: Vector) -> Tokens:
        """Tokens after a norm of that name, scaled and shifted."""
        return modulate(
            layer_norm(self.epsilon, self.dtype, self.affine, name=name)(h), shift, scale
        )

    def _layer(self, h: Tokens, deterministic: bool) -> Tokens:
        """The layer after attention."""
        result: Array = FeedForward(self.activation, self.dtype, self.dropout, name="ff")(
            h, deterministic
        )
        return result
