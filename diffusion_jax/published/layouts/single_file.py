"""A model in one file, read with the configurations of the folder that it is a version of."""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from jax.sharding import Sharding
from jaxtyping import PyTree

from diffusion_jax.errors import UserError
from diffusion_jax.networks.autoencoders.autoencoder_kl import AutoencoderKL
from diffusion_jax.networks.encoders.clip_text import CLIPText
from diffusion_jax.networks.encoders.t5 import T5
from diffusion_jax.networks.transformers.flux import Flux
from diffusion_jax.networks.transformers.sd3 import SD3
from diffusion_jax.networks.unet2d.unet2d_condition import UNet2DCondition
from diffusion_jax.published.layouts import (
    flux,
    latent_diffusion,
    open_clip,
    stable_diffusion_3,
)
from diffusion_jax.published.layouts.origin import Layout
from diffusion_jax.published.names import Names, names_of, parameter_names, to_params
from diffusion_jax.published.parts import (
    CONFIG,
    Part,
    make_module,
    parameter_shapes,
    read_json,
    read_part,
)
from diffusion_jax.published.readers import Tensor, Weights, open_weights
from diffusion_jax.published.room import check_room

SHOWN = 3  # names in a message


@dataclasses.dataclass(frozen=True)
class PartPlace:
    """Where a part may lie in a file.

    Attributes:
        prefix: of the names of its tensors; "" is the file itself.
        layout: of the names behind it; None are those of a folder.
        unused: patterns of names that no part has a use for; NEXT is the number of its layers.
    """

    prefix: str
    layout: Layout | None = None
    unused: tuple[str, ...] = ()


# OpenCLIP's last layer is left out where the layer before it is what is read.
OPEN_CLIP = (
    r"logit_scale|attn_mask|text_projection",
    r"transformer\.resblocks\.NEXT\..*",
)
LDM_CODER = latent_diffusion.autoencoder
PLACES: tuple[tuple[type[Any], str, tuple[PartPlace, ...]], ...] = (
    (UNet2DCondition, "unet", (PartPlace("model.diffusion_model", latent_diffusion.unet),)),
    (
        SD3,
        "transformer",
        (
            PartPlace("model.diffusion_model", stable_diffusion_3.transformer),
            PartPlace("", stable_diffusion_3.transformer),
        ),
    ),
    (
        Flux,
        "transformer",
        (PartPlace("model.diffusion_model", flux.transformer), PartPlace("", flux.transformer)),
    ),
    (
        AutoencoderKL,
        "vae",
        (PartPlace("first_stage_model", LDM_CODER, (r"loss\..*",)), PartPlace("vae", LDM_CODER)),
    ),
    (
        CLIPText,
        "text_encoder",
        (
            PartPlace("cond_stage_model.transformer"),
            PartPlace("cond_stage_model.model", open_clip.text_encoder, OPEN_CLIP),
            PartPlace("conditioner.embedders.0.transformer"),
            PartPlace("text_encoders.clip_l.transformer"),
        ),
    ),
    (
        CLIPText,
        "text_encoder_2",
        (
            PartPlace("conditioner.embedders.1.model", open_clip.text_encoder, OPEN_CLIP),
            PartPlace("conditioner.embedders.0.model", open_clip.text_encoder, OPEN_CLIP),
            PartPlace("text_encoders.clip_g.transformer"),
        ),
    ),
    (T5, "text_encoder_2", (PartPlace("text_encoders.t5xxl.transformer"),)),
    (T5, "text_encoder_3", (PartPlace("text_encoders.t5xxl.transformer"),)),
)
# What training left in files, and tables that a scheduler's config says.
NO_PART = (
    r"model_ema\..*",
    r"(alphas|sqrt|log|posterior)_.*",
    r"betas|lvlb_weights|logvar|scale_factor|global_step",
    r"denoiser\.sigmas|model_sampling\.sigmas",
    r"text_encoders\.\w+\.(logit_scale|transformer\.text_projection\.weight)",
)


def place_of(name: str, module: Any, tensors: Iterable[str]) -> PartPlace | None:
    """Where in a file a part lies; None if it does not.

    Args:
        name: of the part in a folder.
        module: of the part.
        tensors: names in the file.
    """
    held = list(tensors)
    for kind, part, places in PLACES:
        if part == name and isinstance(module, kind):
            for place in places:
                if _under(held, place.prefix) if place.prefix else _own(held):
                    return place
    return None


def _under(names: Iterable[str], prefix: str) -> list[str]:
    return [name for name in names if name.startswith(f"{prefix}.")]


def _own(names: Iterable[str]) -> list[str]:
    """Names that lie under no prefix of a part."""
    prefixes = {place.prefix for _, _, places in PLACES for place in places if place.prefix}
    starts = tuple(f"{prefix}." for prefix in prefixes)
    return [name for name in names if not name.startswith(starts) and not _is_no_part(name)]


def _is_no_part(name: str) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in NO_PART)


def tensors_of(
    weights: Weights, place: PartPlace, module: Any, shapes: PyTree
) -> tuple[dict[str, Tensor], set[str]]:
    """The tensors of a part as a folder names them, and the names in the file that they are of.

    Args:
        weights: of the file.
        place: of the part.
        module: of the part.
        shapes: of its parameters.

    Raises:
        UserError: a tensor is missing.
    """
    start = f"{place.prefix}." if place.prefix else ""
    if place.layout is None:
        inner = weights.under(place.prefix)
        return dict(inner), {start + name for name in inner}
    found, used = {}, set()
    for name, axes in parameter_names(shapes, names_of(module)).items():
        origin = place.layout(name, module)
        if start + origin.name not in weights:
            raise UserError(
                f"{weights.path} has no tensor {start + origin.name!r}, which is {name} of a "
                f"{type(module).__name__}: it is another model than the folder's."
            )
        found[name] = origin.of(weights[start + origin.name], axes)
        used.add(start + origin.name)
    after = str(getattr(module, "num_hidden_layers", ""))
    known = Names(unused=tuple(pattern.replace("NEXT", after) for pattern in place.unused))
    under = _under(weights, place.prefix) if place.prefix else []
    used |= {each for each in under if known.is_unused(each.removeprefix(start))}
    return found, used


@dataclasses.dataclass(frozen=True)
class FilePart:
    """A part of a model in one file, not yet read.

    Attributes:
        configuration: the folder's.
        module: of it.
        shapes: of its parameters.
        tensors: as a folder names them.
    """

    configuration: Mapping[str, Any]
    module: Any
    shapes: PyTree
    tensors: Mapping[str, Tensor]


def split(
    weights: Weights, like: Path, parts: Iterable[str], dtype: str = "float32"
) -> tuple[dict[str, FilePart], str]:
    """The parts of a model in one file, and a line on what is left over; "" for nothing.

    Args:
        weights: of the file.
        like: folder of the model that it is a version of, for configurations.
        parts: that the folder's index names; those that the file lacks are left out.
        dtype: of the computation.

    Raises:
        UserError: a tensor is missing, or there is no part at all.
    """
    found: dict[str, FilePart] = {}
    left = {name for name in weights if not _is_no_part(name)}
    for name in parts:
        where = like / name / CONFIG
        configuration = read_json(where)
        module = make_module(configuration, str(where), dtype=dtype)
        place = place_of(name, module, weights)
        if place is None:
            continue
        shapes = parameter_shapes(module, configuration)
        tensors, used = tensors_of(weights, place, module, shapes)
        left -= used
        found[name] = FilePart(configuration, module, shapes, tensors)
    if not found:
        raise UserError(f"{weights.path} has no part of the model in {like} that is known here.")
    some = ", ".join(map(repr, sorted(left)[:SHOWN]))
    line = (
        f"{weights.path} has {len(left)} tensors that no part of the model in {like} has a place "
        f"for, such as {some}: it is another model."
    )
    return found, line if left else ""


def read_single_file(
    path: Path,
    like: Path,
    parts: Iterable[str],
    dtype: str = "float32",
    variant: str = "",
    sharding: Sharding | None = None,
) -> dict[str, Part]:
    """Reads the parts of a model in one file.

    Parts that the file lacks, as most have no T5, are those of the folder.

    Args:
        path: of the file.
        like: folder of the model that it is a version of, for configurations.
        parts: that the folder's index names.
        dtype: of parameters and computation.
        variant: of files of the folder.
        sharding: where the parameters are to live; None is the default device.

    Returns:
        Parts by the names of their folders.

    Raises:
        UserError: a tensor is missing, left over or of another shape, or there is no memory.
    """
    weights, names = open_weights(path), tuple(parts)
    check_room(weights.values(), dtype, path, sharding)
    held, left = split(weights, like, names, dtype)
    if left:
        raise UserError(left)
    found: dict[str, Part] = {}
    for name in names:
        if name not in held:
            found[name] = read_part(like / name, dtype, variant, sharding)
            continue
        part = held[name]
        given = part.shapes, part.tensors, names_of(part.module)
        try:
            params = to_params(*given, jnp.dtype(dtype), sharding)
        except UserError as error:
            raise UserError(f"{path}: {name}: {error}") from None
        found[name] = Part(part.module, params, part.configuration)
    return found
