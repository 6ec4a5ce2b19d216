"""DC-AE, the deep compression autoencoder of Sana and PRX: 32 or 64 pixels for each cell."""

import itertools
from typing import Any, ClassVar

from diffusion_jax.errors import UserError, one_of, positive
from diffusion_jax.networks import checks
from diffusion_jax.networks.autoencoders.base import (
    Autoencoder,
    Latents,
    Pictures,
    Raw,
    at_least_single,
    autoencoders,
    certain,
    check_sizes,
)
from diffusion_jax.networks.autoencoders.dc_blocks import NORMS
from diffusion_jax.networks.autoencoders.dc_coders import (
    BLOCKS,
    DCDecoder,
    DCEncoder,
    LevelOfBlocks,
)
from diffusion_jax.networks.configurations import ANY
from diffusion_jax.networks.layers import activation
from diffusion_jax.networks.unet2d.kinds import per_level

OWNER = "autoencoder_dc"
Scales = tuple[tuple[int, ...], ...]


@autoencoders.register("autoencoder_dc")
class AutoencoderDC(Autoencoder):
    """Deep compression autoencoder: blocks change the size by moving pixels into channels.

    Source: Chen et al. 2024 (DC-AE); autoencoder_dc.py of huggingface/diffusers, whose names of
    parameters and settings these are.

    Attributes:
        in_channels: colours of pictures.
        latent_channels: channels of latents.
        attention_head_dim: features of a head.
        encoder_block_types, decoder_block_types: "ResBlock" or "EfficientViTBlock", for all levels
            or each.
        encoder_block_out_channels, decoder_block_out_channels: channels of each level, finest
            first.
        encoder_layers_per_block, decoder_layers_per_block: blocks of each level; the finest may
            have none, and is then left out but for its size.
        encoder_qkv_multiscales, decoder_qkv_multiscales: sides of kernels of each level's
            attention.
        upsample_block_type: "pixel_shuffle" or "interpolate".
        downsample_block_type: "pixel_unshuffle" or "conv".
        decoder_norm_types: "rms_norm" or "batch_norm", for all levels or each.
        decoder_act_fns: activation, for all levels or each.
        encoder_out_shortcut, decoder_in_shortcut: add means of channels, or channels several times.
        decoder_conv_act_fn: activation before the last convolution.
        scaling_factor: of latents.
        dtype: dtype of the computation; results are at least float32.

    Raises:
        UserError: a setting that cannot work.
    """

    original: ClassVar[str] = "AutoencoderDC"
    unused: ClassVar[tuple[str, ...]] = (r".*\.num_batches_tracked",)
    fixed: ClassVar[dict[str, Any]] = {"force_upcast": ANY}

    in_channels: int = 3
    latent_channels: int = 32
    attention_head_dim: int = 32
    encoder_block_types: str | tuple[str, ...] = "ResBlock"
    decoder_block_types: str | tuple[str, ...] = "ResBlock"
    encoder_block_out_channels: tuple[int, ...] = (128, 256, 512, 512, 1024, 1024)
    decoder_block_out_channels: tuple[int, ...] = (128, 256, 512, 512, 1024, 1024)
    encoder_layers_per_block: tuple[int, ...] = (2, 2, 2, 3, 3, 3)
    decoder_layers_per_block: tuple[int, ...] = (3, 3, 3, 3, 3, 3)
    encoder_qkv_multiscales: Scales = ((), (), (), (5,), (5,), (5,))
    decoder_qkv_multiscales: Scales = ((), (), (), (5,), (5,), (5,))
    upsample_block_type: str = "pixel_shuffle"
    downsample_block_type: str = "pixel_unshuffle"
    decoder_norm_types: str | tuple[str, ...] = "rms_norm"
    decoder_act_fns: str | tuple[str, ...] = "silu"
    encoder_out_shortcut: bool = True
    decoder_in_shortcut: bool = True
    decoder_conv_act_fn: str = "relu"
    scaling_factor: float = 1.0
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive_integers(
            OWNER,
            in_channels=self.in_channels,
            latent_channels=self.latent_channels,
            attention_head_dim=self.attention_head_dim,
        )
        positive(self, "scaling_factor")
        activation(self.decoder_conv_act_fn)
        ways = ("pixel_shuffle", "interpolate"), ("pixel_unshuffle", "conv")
        one_of(self.upsample_block_type, ways[0], f"upsample_block_type of an {OWNER}")
        one_of(self.downsample_block_type, ways[1], f"downsample_block_type of an {OWNER}")
        for part in ("encoder", "decoder"):
            self._check_part(part)
        if len(self.encoder_block_out_channels) != len(self.decoder_block_out_channels):
            raise UserError(f"{OWNER}: encoder and decoder must have as many levels.")

    def _check_part(self, part: str) -> None:
        channels = getattr(self, f"{part}_block_out_channels")
        layers = getattr(self, f"{part}_layers_per_block")
        checks.channel_tuple(OWNER, channels)
        per_level(OWNER, f"{part}_layers_per_block", layers, len(channels))
        scales = getattr(self, f"{part}_qkv_multiscales")
        per_level(OWNER, f"{part}_qkv_multiscales", scales, len(channels))
        for level in self._levels(part):
            one_of(level.kind, BLOCKS, f"of {part}_block_types of an {OWNER}")
            one_of(level.norm, NORMS, f"of decoder_norm_types of an {OWNER}")
            activation(level.act)
        # Without blocks, the finest level is but a size.
        for number in layers if layers[0] else layers[1:]:
            checks.positive_integers(OWNER, **{f"{part}_layers_per_block": number})
        if layers[0] == 0 and len(channels) == 1:
            raise UserError(f"{OWNER}: the only level of the {part} must have blocks.")
        unshuffles = part == "encoder" and self.downsample_block_type == "pixel_unshuffle"
        for fine, coarse in itertools.pairwise(channels if layers[0] else channels[1:]):
            if 4 * fine % coarse or (unshuffles and coarse % 4):
                raise UserError(
                    f"{OWNER}: {part}_block_out_channels: {coarse} channels must be a multiple of "
                    f"4 and divide four times the {fine} of the finer level."
                )
        shortcut = self.encoder_out_shortcut if part == "encoder" else self.decoder_in_shortcut
        if shortcut and channels[-1] % self.latent_channels:
            raise UserError(
                f"{OWNER}: the {part}'s last {channels[-1]} channels must be a multiple of "
                f"latent_channels={self.latent_channels} for the shortcut between them."
            )
        checks.size(OWNER, sum(layers), 18 * sum(layers) * max(channels) ** 2)

    def _levels(self, part: str) -> tuple[LevelOfBlocks, ...]:
        """The levels of encoder or decoder, finest first."""
        channels = getattr(self, f"{part}_block_out_channels")
        decodes = part == "decoder"
        settings = (
            getattr(self, f"{part}_layers_per_block"),
            getattr(self, f"{part}_block_types"),
            getattr(self, f"{part}_qkv_multiscales"),
            self.decoder_norm_types if decodes else "rms_norm",
            self.decoder_act_fns if decodes else "silu",
        )
        each = [per_level(OWNER, f"a setting of the {part}", s, len(channels)) for s in settings]
        return tuple(
            LevelOfBlocks(width, *chosen) for width, *chosen in zip(channels, *each, strict=True)
        )

    @property
    def factor(self) -> int:
        """2^(levels - 1)."""
        return int(2 ** (len(self.encoder_block_out_channels) - 1))

    @property
    def channels(self) -> int:
        """Channels of latents."""
        return self.latent_channels

    def setup(self) -> None:
        """Names the parts."""
        self.encoder = DCEncoder(
            self._levels("encoder"),
            self.latent_channels,
            self.downsample_block_type == "pixel_unshuffle",
            self.encoder_out_shortcut,
            self.attention_head_dim,
            self.dtype,
        )
        self.decoder = DCDecoder(
            self._levels("decoder"),
            self.in_channels,
            self.upsample_block_type == "pixel_shuffle",
            self.decoder_in_shortcut,
            self.attention_head_dim,
            self.dtype,
            self.decoder_conv_act_fn,
        )

    def encode(self, x: Pictures) -> tuple[Raw, Raw]:
        """The latents, which are certain."""
        check_sizes(OWNER, x.shape, self.factor)
        return certain(at_least_single(self.encoder(x.astype(self.dtype))))

    def decode(self, z: Raw) -> Pictures:
        """The pictures that z stands for."""
        return at_least_single(self.decoder(z.astype(self.dtype)))

    def normalise(self, z: Raw) -> Latents:
        """z scale."""
        return z * self.scaling_factor

    def denormalise(self, latents: Latents) -> Raw:
        """latents/scale."""
        return latents / self.scaling_factor
