"""FLUX.2's autoencoder, whose latents are patches with statistics of their own."""

from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, positive
from diffusion_jax.networks import checks
from diffusion_jax.networks.autoencoders.base import Latents, Raw, autoencoders
from diffusion_jax.networks.autoencoders.latent_coder import LatentCoder
from diffusion_jax.networks.configurations import ANY

FOUR = 4


@autoencoders.register("autoencoder_kl_flux2")
class AutoencoderKLFlux2(LatentCoder):
    """As `AutoencoderKL`, but latents of diffusion models are patches of z by their statistics.

    (patch - mean)/sqrt(variance + batch_norm_eps), feature by feature: a patch's features are, for
    each channel of z, its cells row by row. Mean and variance were counted in training; they are
    parameters here, which no gradient reaches.

    Source: Black Forest Labs 2025 (FLUX.2), github.com/black-forest-labs/flux2;
    autoencoder_kl_flux2.py of huggingface/diffusers, whose names of parameters and settings these
    are.

    Attributes:
        decoder_block_out_channels: channels of each level of the decoder; None is as the encoder.
        batch_norm_eps: added to variances.
        patch_size: cells of z along the sides of a patch.

    The others are those of a `LatentCoder`.

    Raises:
        UserError: a setting that cannot work.
    """

    owner: ClassVar[str] = "autoencoder_kl_flux2"
    original: ClassVar[str] = "AutoencoderKLFlux2"
    unused: ClassVar[tuple[str, ...]] = (r"bn\.num_batches_tracked",)
    fixed: ClassVar[dict[str, Any]] = {
        "in_channels": ANY,  # those of the pictures that it is given
        "sample_size": ANY,
        "force_upcast": ANY,  # a matter of dtype
        "batch_norm_momentum": ANY,  # of the statistics, which stay as they are
    }

    down_block_types: tuple[str, ...] = ("DownEncoderBlock2D",) * FOUR
    up_block_types: tuple[str, ...] = ("UpDecoderBlock2D",) * FOUR
    block_out_channels: tuple[int, ...] = (128, 256, 512, 512)
    decoder_block_out_channels: tuple[int, ...] | None = None
    layers_per_block: int = 2
    latent_channels: int = 32
    batch_norm_eps: float = 1e-4
    patch_size: tuple[int, int] = (2, 2)

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "batch_norm_eps")
        for side in self.patch_size:
            checks.positive_integers(self.owner, patch_size=side)
        if self.patch_size[0] != self.patch_size[1]:
            raise UserError(f"{self.owner}: patch_size must be square, not {self.patch_size}.")

    @property
    def _decoder_channels(self) -> tuple[int, ...]:
        return self.decoder_block_out_channels or self.block_out_channels

    @property
    def factor(self) -> int:
        """2^(levels - 1) times the side of a patch."""
        return int(2**self.halvings) * self.patch_size[0]

    @property
    def channels(self) -> int:
        """Features of a patch."""
        return self.latent_channels * self.patch_size[0] ** 2

    def setup(self) -> None:
        """Names the parts."""
        super().setup()
        self.bn = Statistics(self.channels, self.batch_norm_eps)

    def normalise(self, z: Raw) -> Latents:
        """(patch - mean)/std."""
        side, (batch, height, width, channels) = self.patch_size[0], z.shape
        cells = z.reshape(batch, height // side, side, width // side, side, channels)
        patches = cells.transpose(0, 1, 3, 5, 2, 4).reshape(
            batch, height // side, width // side, -1
        )
        mean, std = self.bn(z.dtype)
        return (patches - mean) / std

    def denormalise(self, latents: Latents) -> Raw:
        """latents std + mean, each patch where it belongs."""
        side, (batch, rows, columns, _) = self.patch_size[0], latents.shape
        mean, std = self.bn(latents.dtype)
        cells = (latents * std + mean).reshape(batch, rows, columns, -1, side, side)
        whole = cells.transpose(0, 1, 4, 2, 5, 3)
        return whole.reshape(batch, rows * side, columns * side, -1)


class Statistics(nn.Module):
    """Mean and standard deviation of each feature, as they were counted in training.

    Attributes:
        features: how many.
        epsilon: added to variances.

    Source: Ioffe & Szegedy 2015 (batch normalization), algorithm 2.
    """

    features: int
    epsilon: float

    @nn.compact
    def __call__(
        self, dtype: Any
    ) -> tuple[Float[Array, " {self.features}"], Float[Array, " {self.features}"]]:
        """Returns them in a dtype."""
        shape = (self.features,)
        mean = self.param("running_mean", nn.initializers.zeros, shape)
        variance = self.param("running_var", nn.initializers.ones, shape)
        fixed = [jax.lax.stop_gradient(jnp.asarray(each, dtype)) for each in (mean, variance)]
        return fixed[0], jnp.sqrt(fixed[1] + self.epsilon)
