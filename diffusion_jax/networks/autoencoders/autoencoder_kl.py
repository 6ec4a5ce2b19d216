"""The autoencoder of latent diffusion, Stable Diffusion and FLUX.1."""

from typing import Any, ClassVar

import jax.numpy as jnp

from diffusion_jax.errors import UserError, positive
from diffusion_jax.networks.autoencoders.base import Latents, Raw, autoencoders
from diffusion_jax.networks.autoencoders.latent_coder import LatentCoder
from diffusion_jax.networks.configurations import ANY


@autoencoders.register("autoencoder_kl")
class AutoencoderKL(LatentCoder):
    """A convolutional variational autoencoder: q(z|x) is normal, with a small penalty on its KL.

    Latents of diffusion models are (z - shift_factor) scaling_factor, or where statistics are given
    (z - latents_mean)/latents_std scaling_factor, channel by channel.

    Source: Rombach et al. 2022 (latent diffusion), section 3.1 and appendix G; autoencoder_kl.py of
    huggingface/diffusers, whose names of parameters and settings these are.

    Attributes:
        scaling_factor, shift_factor: of latents; a shift of None is 0.
        latents_mean, latents_std: of each channel of latents, or None.

    The others are those of a `LatentCoder`.

    Raises:
        UserError: a setting that cannot work.

    >>> import jax
    >>> network = AutoencoderKL(block_out_channels=(32,))
    >>> x = jnp.zeros((1, 8, 8, 3))
    >>> jax.eval_shape(network.init_with_output, jax.random.key(0), x)[0].shape
    (1, 8, 8, 3)
    """

    owner: ClassVar[str] = "autoencoder_kl"
    original: ClassVar[str] = "AutoencoderKL"
    fixed: ClassVar[dict[str, Any]] = {
        "in_channels": ANY,  # those of the pictures that it is given
        "sample_size": ANY,
        "force_upcast": ANY,  # a matter of dtype
    }

    scaling_factor: float = 0.18215
    shift_factor: float | None = None
    latents_mean: tuple[float, ...] | None = None
    latents_std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "scaling_factor")
        for name in ("latents_mean", "latents_std"):
            given = getattr(self, name)
            if given is not None and len(given) != self.latent_channels:
                raise UserError(
                    f"{self.owner}: {name} must have a number for each of {self.latent_channels} "
                    f"channels of latents, not {len(given)}."
                )
        if (self.latents_mean is None) != (self.latents_std is None) or (
            self.latents_mean is not None and self.shift_factor is not None
        ):
            raise UserError(
                f"{self.owner}: latents are shifted by shift_factor, or by latents_mean and "
                "latents_std together, not by both."
            )

    @property
    def factor(self) -> int:
        """2^(levels - 1)."""
        return int(2**self.halvings)

    @property
    def channels(self) -> int:
        """Channels of latents."""
        return self.latent_channels

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
