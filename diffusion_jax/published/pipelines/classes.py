"""Models that are asked for classes: DiT's."""

from typing import ClassVar

import numpy as np

from diffusion_jax.errors import UserError
from diffusion_jax.networks.conditioners.base import Rows
from diffusion_jax.published.pipelines.base import (
    Asked,
    Parts,
    Prompts,
    Size,
    latent_shape,
    pipelines,
    pooled,
    trained_size,
)


@pipelines.register("DiTPipeline")
class DiTPipeline:
    """Peebles & Xie 2022: a transformer on latents, asked for the number of a class."""

    network: ClassVar[str] = "transformer"
    even_times: ClassVar[bool] = False
    steps: ClassVar[int] = 50
    guidance: ClassVar[float] = 4.0

    def ask(self, model: Asked, prompts: Prompts, size: Size, negative: bool = False) -> Rows:
        """One-hot vectors of the classes that prompts number, and, last, of none.

        Raises:
            UserError: a prompt that is not the number of a class.
        """
        count = int(model.parts[self.network].configuration.get("num_embeds_ada_norm", 1000))
        found = [class_number(prompt, count) for prompt in prompts]
        return pooled(np.eye(count + 1)[found])

    def shape(self, parts: Parts, size: Size) -> tuple[int, int, int]:
        return latent_shape(parts, size, self.network)

    def default_size(self, parts: Parts) -> Size:
        return trained_size(parts, self.network)


def class_number(prompt: str | None, count: int) -> int:
    """The number of a class that a prompt is; `count` for no class.

    Raises:
        UserError: it is no number of a class.
    """
    if not prompt:
        return count
    if not prompt.isascii() or not prompt.isdigit() or int(prompt) >= count:
        raise UserError(
            f"{prompt!r} is no class of this model: give the number of one, 0 to {count - 1}."
        )
    return int(prompt)
