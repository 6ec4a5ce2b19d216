"""An autoencoder with the latents that an authors' checkpoint draws."""

import dataclasses
from collections.abc import Collection
from typing import Any

from diffusion_jax.errors import UserError
from diffusion_jax.networks.autoencoders.autoencoder_kl import AutoencoderKL
from diffusion_jax.networks.autoencoders.base import Pictures, Raw
from diffusion_jax.published.card import ModelCard
from diffusion_jax.published.parts import Part

MOVED = ("shift_factor", "latents_mean", "latents_std")
"""Settings of autoencoders by which some pipelines move latents"""


class UnitRangeAutoencoderKL(AutoencoderKL):
    """An `AutoencoderKL` whose own pictures have values from 0 to 1, as EDM2 gives them to it."""

    def encode(self, x: Pictures) -> tuple[Raw, Raw]:
        """Mean and log-variance of z for pictures from -1 to 1."""
        return super().encode((x + 1) / 2)

    def decode(self, z: Raw) -> Pictures:
        """Pictures from -1 to 1."""
        return 2 * super().decode(z) - 1


def latents_by(names: Collection[str], coder: Part) -> Part:
    """The autoencoder whose latents are those of a pipeline that reads these settings alone.

    Args:
        names: of settings beside scaling_factor; the others of `MOVED` are as by default.
        coder: an autoencoder as it was released.
    """
    fields = {each.name: each.default for each in dataclasses.fields(coder.module)}
    unread = {name: fields[name] for name in MOVED if name in fields and name not in names}
    return dataclasses.replace(coder, module=coder.module.clone(**unread))


def with_latents_of(card: ModelCard, coder: Part) -> Part:
    """The autoencoder with the scale of latents that a card's network draws.

    Args:
        card: of an authors' checkpoint.
        coder: an autoencoder as it was released.

    Raises:
        UserError: the network draws no latents, or those of another autoencoder.
    """
    data, module = card.data, coder.module
    if data is None or data.latents_scale is None:
        raise UserError(f"{card.title} draws no latents that an autoencoder here is for.")
    own = coder.configuration.get("scaling_factor", 0.18215)
    same = data.latents_mean is not None or abs(data.latents_scale - own) <= 1e-6
    if module.channels != data.shape[2] or not isinstance(module, AutoencoderKL) or not same:
        raise UserError(
            f"{card.title} needs an AutoencoderKL of {data.shape[2]} channels whose latents are "
            f"multiplied by {data.latents_scale}; this is {type(module).__name__} of "
            f"{module.channels}, and {own}."
        )
    fields: dict[str, Any] = {
        each.name: getattr(module, each.name)
        for each in dataclasses.fields(module)
        if each.name not in ("parent", "name")
    }
    if data.latents_mean is not None:
        fields |= {"scaling_factor": data.latents_scale, "shift_factor": None}
        fields |= {"latents_mean": data.latents_mean, "latents_std": data.latents_std}
    kind = UnitRangeAutoencoderKL if data.latents_of == "unit" else AutoencoderKL
    return dataclasses.replace(coder, module=kind(**fields))
