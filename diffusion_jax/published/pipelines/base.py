"""What a pipeline is: how one kind of released model is asked, and in which space it draws."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from diffusion_jax.errors import UserError
from diffusion_jax.networks.conditioners.base import Rows
from diffusion_jax.published.parts import Part
from diffusion_jax.published.tokenizers import PromptTokenizer
from diffusion_jax.registry import Registry
from diffusion_jax.sampling.guidance import Guidance

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
        steps: what the original takes by default.
        guidance: its scale of classifier-free guidance by default, 1 for none; or a `Guidance`.
    """

    @property
    def network(self) -> str: ...
    @property
    def even_times(self) -> bool: ...
    @property
    def steps(self) -> int: ...
    @property
    def guidance(self) -> float | Guidance: ...

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

    def shape(self, parts: Parts, size: Size) -> tuple[int, int, int]:
        """The shape of what the network draws, (height, width, channels).

        Raises:
            UserError: pictures of that size cannot be drawn.
        """
        ...

    def default_size(self, parts: Parts) -> Size:
        """Height and width of the pictures that the model was trained on, in pixels."""
        ...


pipelines: Registry[Pipeline] = Registry("pipeline")


def latent_shape(parts: Parts, size: Size, network: str) -> tuple[int, int, int]:
    """The shape of the latents of a picture; of the picture, where there is no autoencoder.

    Args:
        parts: of the model.
        size: height and width of the picture in pixels.
        network: what the part is called whose channels they have.

    Raises:
        UserError: sides that are no multiples of what the autoencoder takes.
    """
    height, width = size
    if "vae" not in parts:
        return height, width, int(parts[network].configuration.get("in_channels", 3))
    coder = parts["vae"].module
    if height % coder.factor or width % coder.factor:
        raise UserError(
            f"Pictures of {width}x{height} cannot be drawn: width and height must be multiples of "
            f"{coder.factor}."
        )
    return height // coder.factor, width // coder.factor, coder.channels


def trained_size(parts: Parts, network: str) -> Size:
    """Height and width in pixels of what a network was trained on, by its sample_size."""
    side: Any = parts[network].configuration.get("sample_size") or 64
    height, width = (side, side) if isinstance(side, int) else side
    factor = parts["vae"].module.factor if "vae" in parts else 1
    return int(height) * factor, int(width) * factor


def pooled(vectors: np.ndarray) -> Rows:
    """A condition that is one vector a row."""
    vectors = np.asarray(vectors, np.float32)
    mask = np.ones((len(vectors), 1), bool)
    return {"tokens": vectors[:, None], "mask": mask, "pooled": vectors}
