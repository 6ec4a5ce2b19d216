"""Models that are asked for classes: DiT's."""

from typing import ClassVar

import numpy as np

from diffusion_jax.errors import UserError
from diffusion_jax.networks.conditioners.base import Rows
from diffusion_jax.published.pipelines.base import (
    Asked,
    FolderPipeline,
    Prompts,
    Size,
    pipelines,
    pooled,
)


@pipelines.register("DiTPipeline")
class DiTPipeline(FolderPipeline):
    """Peebles & Xie 2022: a transformer on latents, asked for the number of a class."""

    steps: ClassVar[int] = 50
    guidance: ClassVar[float] = 4.0
    honoured: ClassVar[tuple[str, ...]] = ("id2label",)  # what classes are called, for readers

    def ask(self, model: Asked, prompts: Prompts, size: Size, negative: bool = False) -> Rows:
        """One-hot vectors of the classes that prompts number, and, last, of none.

        Raises:
            UserError: a prompt that is not the number of a class.
        """
        count = int(model.parts[self.network].configuration.get("num_embeds_ada_norm", 1000))
        found = [class_number(prompt, count) for prompt in prompts]
        return pooled(np.eye(count + 1)[found])


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
