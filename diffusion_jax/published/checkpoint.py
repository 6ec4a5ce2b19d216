"""A checkpoint as its authors released it, in one file that a card explains."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Sharding
from jaxtyping import PyTree

from diffusion_jax.errors import UserError
from diffusion_jax.networks.base import networks
from diffusion_jax.networks.conditioners.base import Rows
from diffusion_jax.networks.configurations import from_configuration, rows, told
from diffusion_jax.networks.guided_diffusion.classifier import GuidedClassifier
from diffusion_jax.networks.initialise import shapes
from diffusion_jax.published.card import CardData, ModelCard
from diffusion_jax.published.latents import with_latents_of
from diffusion_jax.published.names import names_of, to_params
from diffusion_jax.published.parts import Part, read_part
from diffusion_jax.published.pipelines.base import Asked, Prompts, Size, classifier_free, pooled
from diffusion_jax.published.pipelines.classes import class_number
from diffusion_jax.published.readers import Weights, open_weights
from diffusion_jax.published.room import check_room
from diffusion_jax.published.schedulers import ReleasedProcess, translate
from diffusion_jax.published.schedulers.specs import process_in_specs
from diffusion_jax.sampling.guidance import Guidance, guidance

NETWORK = "network"  # what its part is called
CLASSIFIER = "classifier"  # a kind of card
STEPS = 50  # where no figure says how many


@dataclasses.dataclass(frozen=True)
class CheckpointPipeline:
    """How an authors' checkpoint is asked: for the number of a class, or for nothing.

    Attributes:
        data: what the card says of it.
        steps: of the paper's figure.
        guidance: likewise.
        network: what its part is called.
        even_times, unit_times: False, as it is drawn from by what the card says.
        negative_numbers: False, as it is told none.
        honoured, latents_by, settled: nothing, as there are no files that say it.
    """

    data: CardData
    steps: int = STEPS
    guidance: float | Guidance = 1.0
    network: str = NETWORK
    even_times: bool = False
    negative_numbers: bool = False
    unit_times: bool = False
    honoured: tuple[str, ...] = ()
    latents_by: tuple[str, ...] = ()
    settled: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def ask(self, model: Asked, prompts: Prompts, size: Size, negative: bool = False) -> Rows:
        """One-hot vectors of the classes that prompts number; "" or None asks for none of them.

        Raises:
            UserError: a prompt that is not the number of a class, or a network that must be asked
                for one.
        """
        count, no_class = self.data.classes, self.data.no_class
        if count == 0:
            if any(prompts):
                raise UserError("This model is asked for nothing, and takes no prompt.")
            return {}
        found = [class_number(prompt, count) for prompt in prompts]
        if no_class == "none" and count in found:
            raise UserError(f"This model must be asked for a class: a number, 0 to {count - 1}.")
        return pooled(np.eye(count + 1)[found][:, : class_width(self.data)])

    def shape(self, model: Asked, size: Size) -> tuple[int, int, int]:
        """The shape of the pictures or latents that the network draws.

        Raises:
            UserError: the autoencoder takes no pictures of that size.
        """
        factor = model.parts["vae"].module.factor if "vae" in model.parts else 1
        if any(side % factor for side in size):
            height, width = size
            raise UserError(
                f"Pictures of {width}x{height} cannot be drawn: width and height must be "
                f"multiples of {factor}."
            )
        return size[0] // factor, size[1] // factor, self.data.shape[2]

    def default_size(self, model: Asked) -> Size:
        """Height and width of what it was trained on; of pictures, with an autoencoder."""
        factor = model.parts["vae"].module.factor if "vae" in model.parts else 1
        return self.data.shape[0] * factor, self.data.shape[1] * factor

    def steer(self, model: Asked, scale: float | None) -> tuple[Guidance | None, float | None]:
        """Classifier-free guidance; where no scale is given, what the card says."""
        given = self.guidance if scale is None else scale
        return (classifier_free(given) if isinstance(given, (int, float)) else given), None


def class_width(data: CardData) -> int:
    """Entries of the vector by which a network is told a class."""
    return data.classes + (data.no_class == "last") if data.classes else 0


def card_module(card: ModelCard, **settings: Any) -> nn.Module:
    """The network of a card, with its configuration.

    Args:
        card: of an authors' checkpoint.
        settings: further fields, such as the dtype.

    Raises:
        UserError: no network of that class is here.
    """
    part = card.network
    if card.kind == CLASSIFIER:
        classes = _data(card).classes
        return from_configuration(GuidedClassifier, part.configuration, classes=classes, **settings)
    if not part.member or part.member not in networks:
        raise UserError(f"{card.title}: there is no network {part.original!r} here yet.")
    kind: Any = networks[part.member]
    module: nn.Module = from_configuration(kind, part.configuration, **settings)
    return module


def card_shapes(card: ModelCard) -> PyTree[jax.ShapeDtypeStruct]:
    """Shapes of the parameters of a card's network, of which nothing is made.

    Raises:
        UserError: no network of that class is here.
    """
    data = _data(card)
    is_told = data.classes and card.kind != CLASSIFIER
    context = (told(pooled=class_width(data)),) if is_told else ()
    c_noise = jax.ShapeDtypeStruct((1,), jnp.float32)
    return shapes(card_module(card), rows(*data.shape), c_noise, *context)


def card_tensors(card: ModelCard, weights: Weights) -> Weights:
    """The tensors of a card's network in a file, which may hold other states beside it."""
    for prefix in card.network.under:
        if prefix and any(name.startswith(f"{prefix}.") for name in weights):
            return weights.under(prefix)
    if "" in card.network.under:
        return weights
    listed = " or ".join(map(repr, card.network.under))
    raise UserError(f"{weights.path} has no tensors under {listed}, as {card.title} has.")


def card_process(card: ModelCard) -> ReleasedProcess:
    """The process of a card, and how its figure was drawn.

    Raises:
        UserError: the card says none, or something in it is not known.
    """
    if not card.process:
        raise UserError(f"The card {card.name!r} does not say how {card.title} is drawn from.")
    if "_class_name" in card.process:
        return translate(card.process)
    figure = card.figure
    solver, grid = (figure.solver, figure.grid) if figure else ("", "")
    return process_in_specs(card.process, solver or "heun", grid or "uniform")


def read_checkpoint(
    path: Path,
    card: ModelCard,
    dtype: str = "float32",
    sharding: Sharding | None = None,
    autoencoder: Path | None = None,
) -> tuple[CheckpointPipeline, dict[str, Part], ReleasedProcess]:
    """Reads an authors' checkpoint.

    Args:
        path: of the file, or of a folder with it alone.
        card: that explains it.
        dtype: of the parameters and of the computation.
        sharding: where the parameters are to live; None is the default device.
        autoencoder: folder of the one that makes pictures of latents; None for none.

    Returns:
        How it is asked, its parts, and the process that it was trained on.

    Raises:
        UserError: no network of its class is here, a tensor is missing, left over or of another
            shape, or there is no memory for it.
    """
    if card.kind == CLASSIFIER:
        raise UserError(f"{card.title} draws nothing: read it by published.classifier.")
    process, data = card_process(card), _data(card)
    parts = {NETWORK: read_network(path, card, dtype, sharding)}
    if autoencoder is not None:
        parts["vae"] = with_latents_of(card, read_part(autoencoder, dtype, sharding=sharding))
    figure = card.figure
    steps, told_guide = (figure.steps, figure.guidance) if figure else (STEPS, 1.0)
    guide = guidance.make(told_guide) if isinstance(told_guide, str) else told_guide
    return CheckpointPipeline(data, steps, guide), parts, process


def read_network(
    path: Path, card: ModelCard, dtype: str = "float32", sharding: Sharding | None = None
) -> Part:
    """The network of a checkpoint; arguments and errors as of `read_checkpoint`."""
    module = card_module(card, dtype=dtype)
    tensors = card_tensors(card, open_weights(path))
    check_room(tensors.values(), dtype, path, sharding)
    try:
        params = to_params(card_shapes(card), tensors, names_of(module), jnp.dtype(dtype), sharding)
    except UserError as error:
        raise UserError(f"{path} as {card.title}: {error}") from None
    return Part(module, params, card.network.configuration)


def _data(card: ModelCard) -> CardData:
    if card.data is None:
        raise UserError(f"The card {card.name!r} is of no authors' checkpoint that is read here.")
    return card.data
