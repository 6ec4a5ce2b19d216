"""A released classifier of noisy pictures, and any denoiser guided by it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Sharding
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError
from diffusion_jax.files import user_path
from diffusion_jax.networks.conditioners.base import Condition, Rows
from diffusion_jax.process.denoiser import Denoiser, DenoiserLike
from diffusion_jax.process.level import Level
from diffusion_jax.process.per_sample import wide
from diffusion_jax.published.card import ModelCard
from diffusion_jax.published.checkpoint import CLASSIFIER, card_process, read_network
from diffusion_jax.published.identify import card_of
from diffusion_jax.published.parts import Part
from diffusion_jax.published.pipelines.base import pooled
from diffusion_jax.published.pipelines.classes import class_number
from diffusion_jax.published.schedulers import ReleasedProcess
from diffusion_jax.sampling.guidance.classifier import classifier_guided, gradient_of


@dataclasses.dataclass(frozen=True, eq=False)
class ReleasedClassifier:
    """log p(class | x) of noisy pictures, at levels of any process.

    Attributes:
        part: the network with its parameters.
        process: that it was trained on.
        classes: how many it knows.
    """

    part: Part
    process: ReleasedProcess
    classes: int

    def ask(self, prompts: Sequence[str]) -> Rows:
        """The condition that asks for classes by their numbers, a row for each.

        Raises:
            UserError: a prompt that is not the number of a class.
        """
        found = [class_number(prompt, self.classes) for prompt in prompts]
        if self.classes in found:
            raise UserError(f"Ask for a class: a number from 0 to {self.classes - 1}.")
        return pooled(np.eye(self.classes)[found])

    def log_probability(
        self, x: Float[Array, "batch height width channels"], level: Level, condition: Condition
    ) -> Float[Array, " batch"]:
        """log p(class | x), a number for each sample.

        Args:
            x: noisy pictures.
            level: their noise level, () or (batch,).
            condition: with a vector over classes in "pooled", such as `ask` gives.
        """
        batch = (len(x),)
        level = Level(jnp.broadcast_to(level.alpha, batch), jnp.broadcast_to(level.sigma, batch))
        seen = self.process.preconditioning
        scaled = wide(seen.input_scale(level, self.process.sigma_data), x) * x
        given = {"params": self.part.params}
        logits = self.part.module.apply(given, scaled, seen.c_noise(level))
        chosen = jnp.asarray(condition["pooled"])[:, : self.classes]
        return jnp.sum(jax.nn.log_softmax(logits) * chosen, axis=-1)

    def guide(self, denoiser: DenoiserLike, scale: float = 1.0) -> Denoiser:
        """A denoiser that is led towards the class of the condition.

        Args:
            denoiser: unconditional, or conditional already.
            scale: how hard; 0 is not at all.

        Source: Dhariwal & Nichol 2021, algorithm 2.
        """
        return classifier_guided(denoiser, gradient_of(self.log_probability), scale)


def released_classifier(
    path: str | Path,
    dtype: str = "float32",
    card: str | ModelCard = "",
    sharding: Sharding | None = None,
) -> ReleasedClassifier:
    """Reads a classifier of noisy pictures as its authors released it; nothing in it is run.

    Args:
        path: of the checkpoint.
        dtype: of parameters and computation.
        card: that explains it, or its name; "" is the one that fits it.
        sharding: where parameters are to live; None is the default device.

    Raises:
        UserError: it is damaged, or no card of a classifier fits it.
    """
    place = user_path(path)
    found = card if isinstance(card, ModelCard) else card_of(place, card)
    if found.kind != CLASSIFIER or found.data is None:
        raise UserError(f"{found.title} is no classifier: read it by released.")
    part = read_network(place, found, dtype, sharding)
    return ReleasedClassifier(part, card_process(found), found.data.classes)
