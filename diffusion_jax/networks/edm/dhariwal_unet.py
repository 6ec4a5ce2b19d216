"""DhariwalUNet: the U-Net of ADM as EDM has it."""

import math
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import one_of
from diffusion_jax.networks import checks
from diffusion_jax.networks.base import networks
from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.networks.edm import layers, sides
from diffusion_jax.networks.edm.layers import (
    EDMBlock,
    EDMStyle,
    UniformInit,
    convolution,
    group_norm,
    linear,
)
from diffusion_jax.networks.edm.levels import Blocks, down, up
from diffusion_jax.networks.embeddings import side_by_side
from diffusion_jax.networks.initializers import unit_normal

THIRD = UniformInit("fan_in", math.sqrt(1 / 3), math.sqrt(1 / 3))
ZERO = UniformInit(weight=0.0)

Picture = Float[Array, "batch height width channels"]
Result = Float[Array, "batch height width outputs"]
Hidden = Float[Array, "batch _ _ _"]
Embedding = Float[Array, "batch embedding"]


@networks.register("dhariwal_unet")
class DhariwalUNet(nn.Module):
    """U-Net of ADM, with adaptive group norm and several attention heads.

    c_noise is whatever the network was trained with: EDM's ln(sigma)/4, or the label of a step.
    `context.pooled` is the class as a one-hot vector, or any vector; `context.numbers` says how
    the picture was augmented. A level narrower than an attention head has no attention.

    Source: Dhariwal & Nichol 2021 (ADM), sec. 3; Karras et al. 2022 (EDM), appendix F.2 and
    table 7; github.com/NVlabs/edm, training/networks.py.

    Attributes:
        img_resolution: side of the pictures, from which levels have their names; others of sides
            that can be halved as often are taken as well.
        label_dim: width of `context.pooled`; 0 is the width of what comes.
        augment_dim: of `context.numbers`, likewise.
        model_channels: channels, which each level has a multiple of.
        channel_mult: multiples, finest level first.
        channel_mult_emb: of the embedding that steers the blocks.
        num_blocks: residual blocks of a level on the way down; one more on the way up.
        attn_resolutions: sides at which all blocks attend, besides the middle, which does always.
        channels_per_head: features of an attention head.
        dropout: fraction of activations dropped in each block while training.
        remat: compute blocks again in the backward pass, for less memory.
        attention_implementation: as of a `DiT`.
        convolution: as of a `UNet`.
        perturbed: as of a `UNet`.
        outputs: channels of the result for each channel of x; 2 with a variance.
        dtype: dtype of the computation; the result is at least float32.

    Raises:
        UserError: a setting that cannot work, or data that does not fit.

    >>> import jax
    >>> network = DhariwalUNet(img_resolution=8, model_channels=8, channel_mult=(1, 2))
    >>> x, c_noise = jnp.zeros((1, 8, 8, 3)), jnp.zeros(1)
    >>> jax.eval_shape(network.init_with_output, jax.random.key(0), x, c_noise)[0].shape
    (1, 8, 8, 3)
    """

    unused: ClassVar[tuple[str, ...]] = (r".*[.]resample_filter",)

    img_resolution: int = 64
    label_dim: int = 0
    augment_dim: int = 0
    model_channels: int = 192
    channel_mult: tuple[int, ...] = (1, 2, 3, 4)
    channel_mult_emb: int = 4
    num_blocks: int = 3
    attn_resolutions: tuple[int, ...] = (32, 16, 8)
    channels_per_head: int = 64
    dropout: float = 0.1
    remat: bool = False
    attention_implementation: str = "xla"
    convolution: str = "direct"
    perturbed: tuple[int, ...] | None = None
    outputs: int = 1
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        sides.check_settings("dhariwal_unet", self)
        checks.positive_integers("dhariwal_unet", channels_per_head=self.channels_per_head)
        checks.positive_integers("dhariwal_unet", channel_mult_emb=self.channel_mult_emb)
        checks.counts("dhariwal_unet", augment_dim=self.augment_dim)
        one_of(self.convolution, ("direct", "winograd"), "convolution of a dhariwal_unet")
        heads = self._style().heads
        widths = [width // heads(width) for width in sides.widths(self) if heads(width)]
        checks.attention("dhariwal_unet", self.attention_implementation, widths, self.dtype)

    @property
    def self_attentions(self) -> int:
        """How many there are: of each block of a level that attends, and of the middle."""
        return sides.self_attentions(self)

    @nn.compact
    def __call__(
        self,
        x: Picture,
        c_noise: Float[Array, "batch *numbers"],
        context: Context | None = None,
        deterministic: bool = True,
    ) -> Result:
        """Returns the network's raw prediction; arguments as in `SongUNet`."""
        sides.check_picture("dhariwal_unet", self, x.shape)
        embedding = self._embedding(c_noise, context)
        style, given = self._style(), (embedding, deterministic, self.remat, self.perturbed)
        block = Blocks(EDMBlock, style, *given)

        def first(name: str) -> Hidden:
            wide = self.model_channels
            return convolution(x.astype(self.dtype), wide, 3, THIRD, style, name)

        h = up(self, down(self, first, block), block)
        h = nn.silu(group_norm(h, style.eps, self.dtype, "out_norm"))
        h = convolution(h, self.outputs * x.shape[-1], 3, ZERO, style, "out_conv")
        return h.astype(jnp.promote_types(jnp.float32, self.dtype))

    def _style(self) -> EDMStyle:
        return EDMStyle(
            dropout=self.dropout,
            channels_per_head=self.channels_per_head,
            skip_scale=1.0,
            eps=1e-5,
            taps=(1.0, 1.0),
            projects=False,
            scales=True,
            init=THIRD,
            init_last=ZERO,
            init_attention=THIRD,
            dtype=self.dtype,
            attention_implementation=self.attention_implementation,
            convolution=self.convolution,
        )

    def _embedding(
        self, c_noise: Float[Array, "batch *numbers"], context: Context | None
    ) -> Embedding:
        def features(c_noise: Float[Array, " rows"]) -> Float[Array, "rows width"]:
            return layers.position_features(c_noise, self.model_channels, endpoint=False)

        embedding = side_by_side(features, c_noise).astype(self.dtype)
        given = (None, None) if context is None else (context.pooled, context.numbers)
        owner, batch = "dhariwal_unet", len(c_noise)
        augment = checks.vector(owner, "augment_dim", self.augment_dim, given[1], batch)
        if augment is not None:
            wide = embedding.shape[-1]
            embedding += linear(augment, wide, ZERO, self.dtype, "map_augment", bias=False)
        wide = self.model_channels * self.channel_mult_emb
        embedding = nn.silu(linear(embedding, wide, THIRD, self.dtype, "map_layer0"))
        embedding = linear(embedding, wide, THIRD, self.dtype, "map_layer1")
        pooled = checks.vector(owner, "label_dim", self.label_dim, given[0], batch)
        if pooled is not None:
            table = nn.Dense(
                wide, use_bias=False, kernel_init=unit_normal, dtype=self.dtype, name="map_label"
            )
            embedding += table(pooled)
        return nn.silu(embedding)
