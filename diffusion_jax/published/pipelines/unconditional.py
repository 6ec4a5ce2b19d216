"""Models that draw pictures of one kind and are asked for nothing: DDPM's and DDIM's."""

from typing import ClassVar

from diffusion_jax.errors import UserError
from diffusion_jax.networks.conditioners.base import Rows
from diffusion_jax.published.pipelines.base import (
    Asked,
    Parts,
    Prompts,
    Size,
    latent_shape,
    pipelines,
    trained_size,
)


class Unconditional:
    """A U-Net on pixels, or on latents where the folder has an autoencoder."""

    network: ClassVar[str] = "unet"
    even_times: ClassVar[bool] = False
    steps: ClassVar[int] = 1000
    guidance: ClassVar[float] = 1.0

    def ask(self, model: Asked, prompts: Prompts, size: Size, negative: bool = False) -> Rows:
        """Nothing.

        Raises:
            UserError: a prompt has words.
        """
        for prompt in prompts:
            if prompt:
                raise UserError(f"{prompt!r} says nothing to a model that is asked for nothing.")
        return {}

    def shape(self, parts: Parts, size: Size) -> tuple[int, int, int]:
        return latent_shape(parts, size, self.network)

    def default_size(self, parts: Parts) -> Size:
        return trained_size(parts, self.network)


@pipelines.register("DDPMPipeline")
class DDPMPipeline(Unconditional):
    """Ho et al. 2020: a thousand steps."""


@pipelines.register("DDIMPipeline")
class DDIMPipeline(Unconditional):
    """Song et al. 2020: fifty steps."""

    steps: ClassVar[int] = 50
