"""Models that draw pictures of one kind and are asked for nothing: DDPM's and DDIM's."""

from typing import ClassVar

from diffusion_jax.errors import UserError
from diffusion_jax.networks.conditioners.base import Rows
from diffusion_jax.published.pipelines.base import (
    Asked,
    FolderPipeline,
    Prompts,
    Size,
    pipelines,
)


class Unconditional(FolderPipeline):
    """A U-Net on pixels, or on latents where the folder has an autoencoder."""

    network: ClassVar[str] = "unet"
    steps: ClassVar[int] = 1000

    def ask(self, model: Asked, prompts: Prompts, size: Size, negative: bool = False) -> Rows:
        """Nothing.

        Raises:
            UserError: a prompt has words.
        """
        for prompt in prompts:
            if prompt:
                raise UserError(f"{prompt!r} says nothing to a model that is asked for nothing.")
        return {}


@pipelines.register("DDPMPipeline")
class DDPMPipeline(Unconditional):
    """Ho et al. 2020: a thousand steps."""


@pipelines.register("DDIMPipeline")
class DDIMPipeline(Unconditional):
    """Song et al. 2020: fifty steps."""

    steps: ClassVar[int] = 50
