"""What a pipeline is: how one kind of released model is asked, and in which space it draws."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from diffusion_jax.errors import UserError, shown
from diffusion_jax.hints import fits
from diffusion_jax.networks.conditioners.base import Rows
from diffusion_jax.published.parts import Part
from diffusion_jax.published.schedulers.scheduler import Scheduler, translate
from diffusion_jax.published.schedulers.settings import PARALLEL, TAKEN
from diffusion_jax.published.tokenizers import PromptTokenizer
from diffusion_jax.registry import Registry
from diffusion_jax.sampling.guidance import Guidance
from diffusion_jax.sampling.guidance.classifier_free import ClassifierFree

Parts = Mapping[str, Part]
Prompts = Sequence[str | None]
Size = tuple[int, int]


@runtime_checkable
class Asked(Protocol):
    """What a pipeline knows of the model that it asks.

    Attributes:
        parts: its modules with their parameters.
        tokenizers: of its text encoders, by the names of their folders.
        settings: what model_index.json says beside the parts.
    """

    @property
    def parts(self) -> Parts: ...

    @property
    def tokenizers(self) -> Mapping[str, PromptTokenizer]: ...

    @property
    def settings(self) -> Mapping[str, Any]: ...


@runtime_checkable
class Pipeline(Protocol):
    """How a kind of model is asked. A member is registered under the original pipeline's name.

    Attributes:
        network: what the folder of its network is called.
        even_times: whether the original lays out the times of a flow itself, evenly.
        unit_times: whether the network is told shares of the training steps, from 0 to 1.
        steps: what the original takes by default.
        guidance: its scale of classifier-free guidance by default, 1 for none; or a `Guidance`.
        honoured: names of model_index.json that it reads, beside its network and autoencoder.
        latents_by: settings of its autoencoder that it reads beside scaling_factor.
        settled: settings of its scheduler that it has so, whatever their file says.
        negative_numbers: whether what guidance leads away from has numbers of its own.
    """

    @property
    def network(self) -> str: ...
    @property
    def even_times(self) -> bool: ...
    @property
    def unit_times(self) -> bool: ...
    @property
    def steps(self) -> int: ...
    @property
    def guidance(self) -> float | Guidance: ...
    @property
    def honoured(self) -> tuple[str, ...]: ...
    @property
    def latents_by(self) -> tuple[str, ...]: ...
    @property
    def settled(self) -> Mapping[str, Any]: ...
    @property
    def negative_numbers(self) -> bool: ...

    def ask(self, model: Asked, prompts: Prompts, size: Size, negative: bool = False) -> Rows:
        """What is asked for, a row for each prompt: arrays by the names of `Context`.

        Args:
            model: whose parts answer.
            prompts: in words; None asks for nothing, in the way of the original where nothing is
                said.
            size: height and width of the pictures in pixels.
            negative: they are what guidance leads away from.

        Raises:
            UserError: the model cannot be asked for that.
        """
        ...

    def shape(self, model: Asked, size: Size) -> tuple[int, int, int]:
        """The shape of what the network draws, (height, width, channels).

        Raises:
            UserError: pictures of that size cannot be drawn.
        """
        ...

    def default_size(self, model: Asked) -> Size:
        """Height and width of the pictures that the model was trained on, in pixels."""
        ...

    def steer(self, model: Asked, scale: float | None) -> tuple[Guidance | None, float | None]:
        """What a scale of guidance means: a guidance, or a number that the network is told.

        Args:
            model: that is steered.
            scale: None is the original's.

        Raises:
            UserError: it means nothing to this model.
        """
        ...


class FolderPipeline:
    """What the pipelines of diffusers' folders have in common; attributes as of a `Pipeline`."""

    network: ClassVar[str] = "transformer"
    even_times: ClassVar[bool] = False
    unit_times: ClassVar[bool] = False
    guidance: ClassVar[float] = 1.0
    honoured: ClassVar[tuple[str, ...]] = ()
    latents_by: ClassVar[tuple[str, ...]] = ()
    settled: ClassVar[Mapping[str, Any]] = {}
    negative_numbers: ClassVar[bool] = False

    def shape(self, model: Asked, size: Size) -> tuple[int, int, int]:
        """The latents of a picture of that size, which are whole tokens."""
        return latent_shape(model.parts, size, self.network)

    def default_size(self, model: Asked) -> Size:
        """By the network's sample_size."""
        return trained_size(model.parts, self.network)

    def steer(self, model: Asked, scale: float | None) -> tuple[Guidance | None, float | None]:
        """Classifier-free guidance."""
        return classifier_free(self.guidance if scale is None else scale), None


pipelines: Registry[Pipeline] = Registry("pipeline")


def process_of(config: Mapping[str, Any], pipeline: Pipeline) -> Scheduler:
    """The process of a scheduler's config as a pipeline has it.

    Args:
        config: what scheduler_config.json holds.
        pipeline: that draws by it.

    Raises:
        UserError: as of `translate`.
    """
    name = str(config.get("_class_name"))
    taken = TAKEN.get(PARALLEL.get(name, name), ())
    settled = {name: value for name, value in pipeline.settled.items() if name in taken}
    return translate({**config, **settled}, pipeline.even_times, pipeline.unit_times)


def classifier_free(scale: float) -> Guidance | None:
    """Classifier-free guidance of a scale; None for 1, which needs none."""
    return None if scale == 1 else ClassifierFree(scale)


def token_side(part: Part) -> int:
    """Side of the square of latents that is one token of a network; 1 of a U-Net."""
    known = getattr(part.module, "token_side", None) or part.configuration.get("patch_size")
    return int(known or 1)


def latent_shape(parts: Parts, size: Size, network: str) -> tuple[int, int, int]:
    """The shape of the latents of a picture; of the picture, where there is no autoencoder.

    Args:
        parts: of the model.
        size: height and width of the picture in pixels.
        network: what the part is called that draws them.

    Raises:
        UserError: sides that are no multiples of what autoencoder and network take.
    """
    height, width = size
    factor = parts["vae"].module.factor if "vae" in parts else 1
    whole = factor * token_side(parts[network])
    if height % whole or width % whole:
        raise UserError(
            f"Pictures of {width}x{height} cannot be drawn: width and height must be multiples of "
            f"{whole}."
        )
    return height // factor, width // factor, channels(parts, network)


def channels(parts: Parts, network: str) -> int:
    """Of what a network draws."""
    if "vae" in parts:
        return int(parts["vae"].module.channels)
    side = getattr(parts[network].module, "token_side", 1)
    return int(parts[network].configuration.get("in_channels", 3)) // side**2


def trained_size(parts: Parts, network: str) -> Size:
    """Height and width in pixels of what a network was trained on, by its sample_size.

    Raises:
        UserError: that is no size.
    """
    told: Any = parts[network].configuration.get("sample_size") or 64
    sides = tuple(told) if isinstance(told, list | tuple) else (told, told)
    if not fits(sides, tuple[int, int]) or min(sides) < 1:
        raise UserError(
            f"sample_size of the {network} must be a positive number or two, not {shown(told)}: "
            "name a size."
        )
    factor = parts["vae"].module.factor if "vae" in parts else 1
    return sides[0] * factor, sides[1] * factor


def pooled(vectors: np.ndarray) -> Rows:
    """A condition that is one vector a row."""
    vectors = np.asarray(vectors, np.float32)
    mask = np.ones((len(vectors), 1), bool)
    return {"tokens": vectors[:, None], "mask": mask, "pooled": vectors}
