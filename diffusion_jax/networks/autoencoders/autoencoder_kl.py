"""The autoencoder of latent diffusion, Stable Diffusion and FLUX.1."""

from typing import Any, ClassVar

import jax.numpy as jnp

from diffusion_jax.errors import UserError, positive
from diffusion_jax.networks import checks
from diffusion_jax.networks.autoencoders.base import (
    Autoencoder,
    Latents,
    Pictures,
    Raw,
    autoencoders,
    check_sizes,
)
from diffusion_jax.networks.autoencoders.coders import (
    CoderStyle,
    Decoder,
    Encoder,
    at_least_single,
    check_coders,
)
from diffusion_jax.networks.configurations import ANY
from diffusion_jax.networks.layers import Conv

LEAST_LOG_VARIANCE, MOST_LOG_VARIANCE = -30.0, 20.0


@autoencoders.register("autoencoder_kl")
class AutoencoderKL(Autoencoder):
    """A convolutional variational autoencoder: q(z|x) is normal, with a small penalty on its KL.

    Latents of diffusion models are (z - shift_factor) scaling_factor, or where statistics are given
    (z - latents_mean)/latents_std scaling_factor, channel by channel.

    Source: Rombach et al. 2022 (latent diffusion), section 3.1 and appendix G; autoencoder_kl.py of
    huggingface/diffusers, whose names of parameters and settings these are.

    Attributes:
        out_channels: colours of pictures.
        down_block_types, up_block_types: kinds of levels, keys of `coders.ATTENDS`.
        block_out_channels: channels of each level, finest first.
        layers_per_block: residual blocks per level of the encoder; the decoder has one more.
        act_fn: activation.
        latent_channels: channels of latents.
        norm_num_groups: groups of norms.
        scaling_factor, shift_factor: of latents; a shift of None is 0.
        latents_mean, latents_std: of each channel of latents, or None.
        use_quant_conv, use_post_quant_conv: have 1 × 1 convolutions after encoding and before
            decoding.
        mid_block_add_attention: have attention in the middle.
        attention_implementation: as of a `DiT`.
        convolution: as of a `UNet`.
        dtype: dtype of the computation; results are at least float32.

    Raises:
        UserError: a setting that cannot work.

    >>> import jax
    >>> network = AutoencoderKL(block_out_channels=(32,))
    >>> x = jnp.zeros((1, 8, 8, 3))
    >>> jax.eval_shape(network.init_with_output, jax.random.key(0), x)[0].shape
    (1, 8, 8, 3)
    """

    fixed: ClassVar[dict[str, Any]] = {
        "in_channels": ANY,  # those of the pictures that it is given
        "sample_size": ANY,
        "force_upcast": ANY,  # a matter of dtype
    }

    original: ClassVar[str] = "AutoencoderKL"

    out_channels: int = 3
    down_block_types: tuple[str, ...] = ("DownEncoderBlock2D",)
    up_block_types: tuple[str, ...] = ("UpDecoderBlock2D",)
    block_out_channels: tuple[int, ...] = (64,)
    layers_per_block: int = 1
    act_fn: str = "silu"
    latent_channels: int = 4
    norm_num_groups: int = 32
    scaling_factor: float = 0.18215
    shift_factor: float | None = None
    latents_mean: tuple[float, ...] | None = None
    latents_std: tuple[float, ...] | None = None
    use_quant_conv: bool = True
    use_post_quant_conv: bool = True
    mid_block_add_attention: bool = True
    attention_implementation: str = "xla"
    convolution: str = "direct"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        owner = "autoencoder_kl"
        check_coders(owner, self._style, self.down_block_types, self.up_block_types)
        checks.positive_integers(
            owner, latent_channels=self.latent_channels, out_channels=self.out_channels
        )
        positive(self, "scaling_factor")
        for name in ("latents_mean", "latents_std"):
            given = getattr(self, name)
            if given is not None and len(given) != self.latent_channels:
                raise UserError(
                    f"{owner}: {name} must have a number for each of {self.latent_channels} "
                    f"channels of latents, not {len(given)}."
                )
        if (self.latents_mean is None) != (self.latents_std is None) or (
            self.latents_mean is not None and self.shift_factor is not None
        ):
            raise UserError(
                f"{owner}: latents are shifted by shift_factor, or by latents_mean and latents_std "
                "together, not by both."
            )

    @property
    def _style(self) -> CoderStyle:
        return CoderStyle(
            self.block_out_channels,
            self.layers_per_block,
            self.norm_num_groups,
            self.act_fn,
            self.mid_block_add_attention,
            self.attention_implementation,
            self.convolution,
            self.dtype,
        )

    @property
    def factor(self) -> int:
        """2^(levels - 1)."""
        return int(2 ** (len(self.block_out_channels) - 1))

    @property
    def channels(self) -> int:
        """Channels of latents."""
        return self.latent_channels

    def setup(self) -> None:
        """Names the parts."""
        moments = 2 * self.latent_channels
        self.encoder = Encoder(moments, self.down_block_types, self._style)
        self.decoder = Decoder(self.out_channels, self.up_block_types, self._style)
        if self.use_quant_conv:
            self.quant_conv = Conv(moments, 1, dtype=self.dtype)
        if self.use_post_quant_conv:
            self.post_quant_conv = Conv(self.latent_channels, 1, dtype=self.dtype)

    def encode(self, x: Pictures) -> tuple[Raw, Raw]:
        """Mean and log-variance of z, the latter clipped to [-30, 20]."""
        check_sizes("autoencoder_kl", x.shape, self.factor)
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

    def normalise(self, z: Raw) -> Latents:
        """(z - shift) scale."""
        shift, scale = self._shift_and_scale(z)
        return (z - shift) * scale

    def denormalise(self, latents: Latents) -> Raw:
        """latents/scale + shift."""
        shift, scale = self._shift_and_scale(latents)
        return latents / scale + shift

    def _shift_and_scale(self, like: Latents) -> tuple[Any, Any]:
        if self.latents_mean is None or self.latents_std is None:
            return self.shift_factor or 0.0, self.scaling_factor
        mean, std = (
            jnp.asarray(each, like.dtype) for each in (self.latents_mean, self.latents_std)
        )
        return mean, self.scaling_factor / std
