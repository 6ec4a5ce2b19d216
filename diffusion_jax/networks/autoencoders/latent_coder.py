"""What the autoencoders of latent diffusion and of FLUX.2 share: all but the scale of latents."""

from typing import ClassVar

import jax.numpy as jnp

from diffusion_jax.networks import checks
from diffusion_jax.networks.autoencoders.base import (
    Autoencoder,
    Pictures,
    Raw,
    at_least_single,
    check_sizes,
)
from diffusion_jax.networks.autoencoders.coders import (
    CoderStyle,
    LatentDecoder,
    LatentEncoder,
    check_coders,
)
from diffusion_jax.networks.layers import Conv

LEAST_LOG_VARIANCE, MOST_LOG_VARIANCE = -30.0, 20.0


class LatentCoder(Autoencoder):
    """A convolutional variational autoencoder: q(z|x) is normal.

    Attributes:
        out_channels: colours of pictures.
        down_block_types, up_block_types: kinds of levels, keys of `coders.ATTENDS`.
        block_out_channels: channels of each level, finest first.
        layers_per_block: residual blocks per level of the encoder; the decoder has one more.
        act_fn: activation.
        latent_channels: channels of z.
        norm_num_groups: groups of norms.
        use_quant_conv, use_post_quant_conv: have 1 × 1 convolutions after encoding and before
            decoding.
        mid_block_add_attention: have attention in the middle.
        attention_implementation: as of a `DiT`.
        convolution: as of a `UNet`.
        dtype: dtype of the computation; results are at least float32.
    """

    owner: ClassVar[str]
    aliases: ClassVar[tuple[tuple[str, str], ...]] = (
        (r"\.attentions\.0\.query\.", ".attentions.0.to_q."),
        (r"\.attentions\.0\.key\.", ".attentions.0.to_k."),
        (r"\.attentions\.0\.value\.", ".attentions.0.to_v."),
        (r"\.attentions\.0\.proj_attn\.", ".attentions.0.to_out.0."),
    )

    out_channels: int = 3
    down_block_types: tuple[str, ...] = ("DownEncoderBlock2D",)
    up_block_types: tuple[str, ...] = ("UpDecoderBlock2D",)
    block_out_channels: tuple[int, ...] = (64,)
    layers_per_block: int = 1
    act_fn: str = "silu"
    latent_channels: int = 4
    norm_num_groups: int = 32
    use_quant_conv: bool = True
    use_post_quant_conv: bool = True
    mid_block_add_attention: bool = True
    attention_implementation: str = "xla"
    convolution: str = "direct"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        for channels in (self.block_out_channels, self._decoder_channels):
            check_coders(
                self.owner, self._style(channels), self.down_block_types, self.up_block_types
            )
        checks.positive_integers(
            self.owner, latent_channels=self.latent_channels, out_channels=self.out_channels
        )
        checks.switch(
            self.owner,
            use_quant_conv=self.use_quant_conv,
            use_post_quant_conv=self.use_post_quant_conv,
            mid_block_add_attention=self.mid_block_add_attention,
        )

    @property
    def _decoder_channels(self) -> tuple[int, ...]:
        """Channels of each level of the decoder, finest first."""
        return self.block_out_channels

    def _style(self, channels: tuple[int, ...]) -> CoderStyle:
        return CoderStyle(
            channels,
            self.layers_per_block,
            self.norm_num_groups,
            self.act_fn,
            self.mid_block_add_attention,
            self.attention_implementation,
            self.convolution,
            self.dtype,
        )

    @property
    def halvings(self) -> int:
        """How often the encoder halves the size."""
        return len(self.block_out_channels) - 1

    def setup(self) -> None:
        """Names the parts."""
        moments = 2 * self.latent_channels
        style, other = self._style(self.block_out_channels), self._style(self._decoder_channels)
        self.encoder = LatentEncoder(moments, self.down_block_types, style)
        self.decoder = LatentDecoder(self.out_channels, self.up_block_types, other)
        if self.use_quant_conv:
            self.quant_conv = Conv(moments, 1, dtype=self.dtype)
        if self.use_post_quant_conv:
            self.post_quant_conv = Conv(self.latent_channels, 1, dtype=self.dtype)

    def encode(self, x: Pictures) -> tuple[Raw, Raw]:
        """Mean and log-variance of z, the latter clipped to [-30, 20]."""
        check_sizes(self.owner, x.shape, self.factor)
        moments = self.encoder(x)
        if self.use_quant_conv:
            moments = self.quant_conv(moments)
        mean, log_variance = jnp.split(at_least_single(moments), 2, axis=-1)
        return mean, jnp.clip(log_variance, LEAST_LOG_VARIANCE, MOST_LOG_VARIANCE)

    def decode(self, z: Raw) -> Pictures:
        """The pictures that z stands for."""
        z = z.astype(self.dtype)
        if self.use_post_quant_conv:
            z = self.post_quant_conv(z)
        return at_least_single(self.decoder(z))
