"""SongUNet: the U-Net of score SDEs (DDPM++, NCSN++) as EDM has it."""

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
from diffusion_jax.networks.edm.levels import Blocks, entered
from diffusion_jax.networks.embeddings import side_by_side
from diffusion_jax.networks.resample import check_taps, resample

ALMOST_ZERO = UniformInit(weight=1e-5)

Picture = Float[Array, "batch height width channels"]
Result = Float[Array, "batch height width outputs"]
Hidden = Float[Array, "batch _ _ _"]
Embedding = Float[Array, "batch embedding"]


@networks.register("song_unet")
class SongUNet(nn.Module):
    """U-Net of DDPM++ (the defaults) and of NCSN++.

    NCSN++ is `embedding_type="fourier"`, `encoder_type="residual"`, `channel_mult_noise=2` and
    `resample_filter=(1, 3, 3, 1)`. c_noise is whatever the network was trained with: EDM's
    ln(sigma)/4, or the label of a step. `context.pooled` is the class as a one-hot vector, or any
    vector; `context.numbers` says how the picture was augmented.

    Source: Song et al. 2021 (score SDE), appendix H; Karras et al. 2022 (EDM), appendix F.2 and
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
        attn_resolutions: sides at which blocks attend: on the way up the last of a level alone,
            and in the middle always.
        dropout: fraction of activations dropped in each block while training.
        embedding_type: "positional", or "fourier" with frequencies that are drawn at the start.
        channel_mult_noise: multiple of channels that c_noise is embedded in.
        encoder_type: "standard", or how smaller and smaller pictures enter besides: "skip" adds
            each to its level, "residual" makes one of the other.
        decoder_type: "standard", or "skip" for a sum of pictures made at each level.
        resample_filter: taps of the filter of all resampling.
        remat: compute blocks again in the backward pass, for less memory.
        attention_implementation: as of a `DiT`.
        convolution: as of a `UNet`.
        perturbed: as of a `UNet`.
        outputs: channels of the result for each channel of x; 2 with a variance.
        dtype: dtype of the computation; the result is at least float32.

    Raises:
        UserError: a setting that cannot work, or data that does not fit.

    >>> import jax
    >>> network = SongUNet(img_resolution=8, model_channels=8, channel_mult=(1, 2), num_blocks=1)
    >>> x, c_noise = jnp.zeros((1, 8, 8, 3)), jnp.zeros(1)
    >>> jax.eval_shape(network.init_with_output, jax.random.key(0), x, c_noise)[0].shape
    (1, 8, 8, 3)
    """

    unused: ClassVar[tuple[str, ...]] = (r".*[.]resample_filter",)

    img_resolution: int = 32
    label_dim: int = 0
    augment_dim: int = 0
    model_channels: int = 128
    channel_mult: tuple[int, ...] = (1, 2, 2, 2)
    channel_mult_emb: int = 4
    num_blocks: int = 4
    attn_resolutions: tuple[int, ...] = (16,)
    dropout: float = 0.1
    embedding_type: str = "positional"
    channel_mult_noise: int = 1
    encoder_type: str = "standard"
    decoder_type: str = "standard"
    resample_filter: tuple[float, ...] = (1.0, 1.0)
    remat: bool = False
    attention_implementation: str = "xla"
    convolution: str = "direct"
    perturbed: tuple[int, ...] | None = None
    outputs: int = 1
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        sides.check_settings("song_unet", self)
        multiples = {"noise": self.channel_mult_noise, "emb": self.channel_mult_emb}
        for name, multiple in multiples.items():
            checks.positive_integers("song_unet", **{f"channel_mult_{name}": multiple})
        checks.counts("song_unet", augment_dim=self.augment_dim)
        one_of(self.convolution, ("direct", "winograd"), "convolution of a song_unet")
        one_of(self.embedding_type, ("positional", "fourier"), "embedding of a song_unet")
        one_of(self.encoder_type, ("standard", "skip", "residual"), "encoder of a song_unet")
        one_of(self.decoder_type, ("standard", "skip"), "decoder of a song_unet")
        check_taps(self.resample_filter)
        widths = [self.model_channels * self.channel_mult[-1]]
        checks.attention("song_unet", self.attention_implementation, widths, self.dtype)

    @property
    def self_attentions(self) -> int:
        """How many there are: of each block down, of the middle, and one a level up."""
        attending = sum(side in self.attn_resolutions for side in sides.sides(self))
        return attending * (self.num_blocks + 1) + 1

    @nn.compact
    def __call__(
        self,
        x: Picture,
        c_noise: Float[Array, "batch *numbers"],
        context: Context | None = None,
        deterministic: bool = True,
    ) -> Result:
        """Returns the network's raw prediction.

        Args:
            x: (batch, height, width, channels), noisy pictures, scaled as in training.
            c_noise: (batch,), tells the noise level; (batch, numbers) where it is several.
            context: class and augmentation, or None.
            deterministic: no dropout.
        """
        sides.check_picture("song_unet", self, x.shape)
        embedding = self._embedding(c_noise, context)
        style, given = self._style(), (embedding, deterministic, self.remat, self.perturbed)
        block = Blocks(EDMBlock, style, *given)
        h, skips = self._encoded(x.astype(self.dtype), block, style)
        found = self._decoded(h, skips, self.outputs * x.shape[-1], block, style)
        return found.astype(jnp.promote_types(jnp.float32, self.dtype))

    def _style(self) -> EDMStyle:
        return EDMStyle(
            dropout=self.dropout,
            channels_per_head=None,
            skip_scale=math.sqrt(0.5),
            eps=1e-6,
            taps=self.resample_filter,
            projects=True,
            scales=False,
            init=UniformInit(),
            init_last=ALMOST_ZERO,
            init_attention=UniformInit(weight=math.sqrt(0.2)),
            dtype=self.dtype,
            attention_implementation=self.attention_implementation,
            convolution=self.convolution,
        )

    def _embedding(
        self, c_noise: Float[Array, "batch *numbers"], context: Context | None
    ) -> Embedding:
        width = self.model_channels * self.channel_mult_noise
        drawn = self.embedding_type == "fourier"

        def features(c_noise: Float[Array, " rows"]) -> Float[Array, "rows width"]:
            if drawn:
                cosines_first = layers.DrawnFourierFeatures(width, name="map_noise")(c_noise)
            else:
                cosines_first = layers.position_features(c_noise, width, endpoint=True)
            return jnp.roll(cosines_first, width // 2, axis=1)

        embedding = side_by_side(features, c_noise).astype(self.dtype)
        pooled = None if context is None else context.pooled
        pooled = checks.vector("song_unet", "label_dim", self.label_dim, pooled, len(c_noise))
        if pooled is not None:
            scaled = pooled * math.sqrt(pooled.shape[-1])
            embedding += linear(scaled, embedding.shape[-1], UniformInit(), self.dtype, "map_label")
        augment = None if context is None else context.numbers
        augment = checks.vector("song_unet", "augment_dim", self.augment_dim, augment, len(c_noise))
        if augment is not None:
            embedding += linear(
                augment, embedding.shape[-1], UniformInit(), self.dtype, "map_augment", bias=False
            )
        for name in ("map_layer0", "map_layer1"):
            wide = self.model_channels * self.channel_mult_emb
            embedding = nn.silu(linear(embedding, wide, UniformInit(), self.dtype, name))
        return embedding

    def _encoded(self, x: Picture, block: Blocks, style: EDMStyle) -> tuple[Hidden, list[Hidden]]:
        """What the finest to the coarsest level make of x, and all that was made on the way."""
        skips: list[Hidden] = []
        h = aside = x
        for level, side in enumerate(sides.sides(self)):
            name = f"enc.{side}x{side}"
            width = self.model_channels * self.channel_mult[level]
            if level == 0:
                skips.append(
                    convolution(h, self.model_channels, 3, UniformInit(), style, f"{name}_conv")
                )
            else:
                skips.append(block(skips[-1], h.shape[-1], f"{name}_down", mode="down"))
            h = skips[-1]
            if level and self.encoder_type == "skip":
                aside = resample(aside, "down", style.taps)
                h += convolution(aside, h.shape[-1], 1, UniformInit(), style, f"{name}_aux_skip")
            elif level and self.encoder_type == "residual":
                last = f"{name}_aux_residual"
                h += convolution(
                    aside, h.shape[-1], 3, UniformInit(), style, last, "down", fused=True
                )
                h = aside = h / math.sqrt(2)
            skips[-1] = h
            for i in range(self.num_blocks):
                h = block(h, width, f"{name}_block{i}", attends=side in self.attn_resolutions)
                skips.append(h)
        return h, skips

    def _decoded(
        self, h: Hidden, skips: list[Hidden], channels: int, block: Blocks, style: EDMStyle
    ) -> Hidden:
        """The picture that all levels make, or the sum of a picture of each."""
        found = None
        for level, side in reversed(list(enumerate(sides.sides(self)))):
            name = f"dec.{side}x{side}"
            h = entered(self, level, h, block)
            width = self.model_channels * self.channel_mult[level]
            for i in range(self.num_blocks + 1):
                h = jnp.concatenate([h, skips.pop()], axis=-1)
                attends = i == self.num_blocks and side in self.attn_resolutions
                h = block(h, width, f"{name}_block{i}", attends=attends)
            if level and self.decoder_type == "standard":
                continue
            made = nn.silu(group_norm(h, style.eps, self.dtype, f"{name}_aux_norm"))
            made = convolution(made, channels, 3, ALMOST_ZERO, style, f"{name}_aux_conv")
            found = made if found is None else resample(found, "up", style.taps) + made
        assert found is not None  # the finest level makes one
        return found
