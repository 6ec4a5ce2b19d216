"""A file of an encoder as its authors released it: CLIP's or DINOv2's, known by its tensors.

Their shapes say nearly all of the settings. What they do not say, a card does, or a folder that the
file is like, or for OpenAI's CLIP and for DINOv2 what all of them have in common.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jaxtyping import PyTree

from diffusion_jax.errors import UserError, nearest
from diffusion_jax.networks.encoders import Encoder
from diffusion_jax.published.card import ModelCard
from diffusion_jax.published.halves import HALVES, half_configuration, half_module
from diffusion_jax.published.layouts import dinov2, open_clip
from diffusion_jax.published.layouts.origin import Layout, Origin
from diffusion_jax.published.layouts.sizes import clip_sizes, dinov2_sizes, heads
from diffusion_jax.published.names import Names, listed, names_of, parameter_names
from diffusion_jax.published.parts import (
    CONFIG,
    class_of,
    make_module,
    parameter_shapes,
    read_json,
)
from diffusion_jax.published.preprocessing import DEFAULTS, Preprocessing
from diffusion_jax.published.readers import Tensor, Weights

Settings = Mapping[str, Any]
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
UNDER = ("", "state_dict", "state_dict.module", "model")  # where checkpoints keep a model's state
OPENAI = ("input_resolution", "context_length", "vocab_size")  # tensors that its archives hold


@dataclasses.dataclass(frozen=True)
class EncoderFile:
    """A file of an encoder, of which no tensor has been read.

    Attributes:
        module: of it.
        configuration: as transformers has it.
        shapes: of its parameters.
        tensors: as transformers names them.
        missing: names in the file of tensors that the module needs.
        left: of tensors that it has no place for.
        preprocessing: of pictures, as the authors prepare them; None for captions alone.
    """

    module: Any
    configuration: Settings
    shapes: PyTree
    tensors: Mapping[str, Tensor]
    missing: tuple[str, ...]
    left: tuple[str, ...]
    preprocessing: Preprocessing | None = None

    def check(self, path: Path) -> None:
        """Raises UserError if a tensor is missing or left over."""
        if self.missing:
            hint = nearest(self.missing[0], self.left)
            raise UserError(f"{path} lacks {listed(list(self.missing))}, of a {self._kind}.{hint}")
        if self.left:
            some = listed(list(self.left))
            raise UserError(f"{path} has tensors that a {self._kind} has no place for: {some}.")

    @property
    def _kind(self) -> str:
        return str(type(self.module).original)


@dataclasses.dataclass(frozen=True)
class EncoderLayout:
    """How the authors of an encoder name its tensors.

    Attributes:
        marks: tensors by which it is known.
        origin: where a tensor is.
        sizes: settings that shapes say.
        untold: settings that no tensor says.
        preprocessing: of pictures, for the settings.
        unused: tensors that the module has no use for.
    """

    marks: tuple[str, ...]
    origin: Layout
    sizes: Callable[[Weights], dict[str, Any]]
    untold: Callable[[Weights, Settings], Settings]
    preprocessing: Callable[[Settings], Preprocessing]
    unused: Names


def _clip_untold(weights: Weights, sizes: Settings) -> Settings:
    """Heads and activation of OpenAI's.

    Raises:
        UserError: nothing says that it is one.
    """
    scripted = str(weights.metadata.get("__class__", "")).startswith("__torch__.")
    if not scripted and not all(name in weights for name in OPENAI):
        raise UserError(
            f"{weights.path} is a CLIP, and no tensor says how many heads it has and which "
            "activation: name its card, such as clip-vit-l-14, or a folder that it is like "
            "(like=FOLDER)."
        )
    parts = {name: sizes[name]["hidden_size"] for name in ("text_config", "vision_config")}
    counts = heads(parts.values(), str(weights.path))
    own = {"hidden_act": "quick_gelu"}
    return {
        name: own | {"num_attention_heads": count}
        for name, count in zip(parts, counts, strict=True)
    }


def _dinov2_untold(weights: Weights, sizes: Settings) -> Settings:
    (count,) = heads([sizes["hidden_size"]], str(weights.path))
    return {"num_attention_heads": count}


def _clip_preprocessing(settings: Settings) -> Preprocessing:
    side = settings["vision_config"]["image_size"]
    return Preprocessing(
        side, (side, side), 3, 1 / 255, DEFAULTS["image_mean"], DEFAULTS["image_std"]
    )


LAYOUTS: Mapping[str, EncoderLayout] = {
    "CLIPModel": EncoderLayout(
        ("visual.conv1.weight", "token_embedding.weight"),
        open_clip.clip,
        clip_sizes,
        _clip_untold,
        _clip_preprocessing,
        Names(unused=(*OPENAI, "attn_mask")),
    ),
    "Dinov2Model": EncoderLayout(
        ("cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.ls1.gamma"),
        dinov2.encoder,
        dinov2_sizes,
        _dinov2_untold,
        lambda settings: Preprocessing(256, (224, 224), 3, 1 / 255, *IMAGENET),
        Names(unused=("mask_token",)),
    ),
}


def known_layout(weights: Weights) -> tuple[str, Weights] | None:
    """The class of the encoder that a file's tensors are of, and these; None for no encoder."""
    for under in UNDER:
        start = f"{under}." if under else ""
        for kind, layout in LAYOUTS.items():
            if all(start + mark in weights for mark in layout.marks):
                return kind, weights.under(under) if under else weights
    return None


def encoder_file(
    weights: Weights,
    card: ModelCard | None = None,
    like: Path | None = None,
    dtype: str = "float32",
) -> EncoderFile:
    """What a file of an encoder is.

    Args:
        weights: of the file.
        card: that says what its tensors do not; None for none.
        like: folder of transformers' whose config.json says so; None for none.
        dtype: of the computation.

    Raises:
        UserError: nothing says what it is, or what is said of it is not true.
    """
    told = card.network.configuration if card else None
    named = card.network.original if card else ""
    if like is not None:
        told = read_json(like / CONFIG)
        named = class_of(told, str(like / CONFIG))
    where = str(like / CONFIG) if like is not None else f"the card {card.name!r}" if card else ""
    found = known_layout(weights)
    if found is not None:
        return _by_authors(*found, told, named, where, dtype)
    if told is None:
        raise UserError(
            f"{weights.path} is no file of CLIP or DINOv2 as their authors name tensors: name its "
            "card, or a folder that it is like (like=FOLDER)."
        )
    return _by_transformers(weights, {"architectures": [named]} | dict(told), where, dtype)


def _by_authors(
    kind: str, weights: Weights, told: Settings | None, named: str, where: str, dtype: str
) -> EncoderFile:
    layout = LAYOUTS[kind]
    sizes = layout.sizes(weights)
    if "num_register_tokens" in sizes:
        kind = "Dinov2WithRegistersModel"
    if named and named != kind:
        raise UserError(f"{weights.path} is a {kind}, and {where} is of a {named}.")
    if told is None:
        told = layout.untold(weights, sizes)
    elif "mlp_ratio" in told:  # which several widths of gated layers go back to
        sizes["mlp_ratio"] = told["mlp_ratio"]
    _check_told(sizes, told, f"{weights.path} has", f"{where} says")
    configuration = _joined(_joined(_usual(kind), told), sizes) | {"architectures": [kind]}
    module = make_module(configuration, str(weights.path), dtype=dtype)
    shapes = parameter_shapes(module, configuration)
    tensors, missing, used = {}, [], set()
    for name, axes in parameter_names(shapes, names_of(module)).items():
        origin: Origin = layout.origin(name, module)
        used.add(origin.name)
        if origin.name in weights:
            tensors[name] = origin.of(weights[origin.name], axes)
        else:
            missing.append(origin.name)
    left = [name for name in weights if name not in used and not layout.unused.is_unused(name)]
    missing = list(dict.fromkeys(missing))
    prepared = layout.preprocessing(configuration)
    return EncoderFile(
        module, configuration, shapes, tensors, tuple(missing), tuple(left), prepared
    )


def _usual(kind: str) -> Settings:
    """What the authors' code does that no configuration of transformers need say.

    Captions of CLIP end in the token of the highest id, which 2 stands for there. Without registers
    DINOv2 moves what is read of its table of places a little.
    """
    if kind == "CLIPModel":
        return {"text_config": {"eos_token_id": 2}}
    return {"interpolate_offset": 0.1} if kind == "Dinov2Model" else {}


def _by_transformers(weights: Weights, told: Settings, where: str, dtype: str) -> EncoderFile:
    """A file with transformers' names, perhaps of half of what the configuration is of."""
    module = make_module(told, where, dtype=dtype)
    if not isinstance(module, Encoder):
        raise UserError(f"{where} is of a {class_of(told, where)}, which is no encoder.")
    there = [half for half, s in HALVES.items() if any(name.startswith(s) for name in weights)]
    if module.reads == "both" and len(there) == 1:
        alone = half_module(module, there[0])
        told = half_configuration(alone)
        if not any(name.startswith(HALVES[there[0]][1]) for name in weights):
            told["architectures"] = [alone.original.removesuffix("WithProjection")]
        module = make_module(told, where, dtype=dtype)
    shapes, names = parameter_shapes(module, told), names_of(module)
    tensors = {names.known(name): tensor for name, tensor in weights.items()}
    wanted = parameter_names(shapes, names)
    missing = tuple(name for name in wanted if name not in tensors)
    left = [n for n in tensors if n not in wanted and not names.is_unused(n)]
    held = {name: tensor for name, tensor in tensors.items() if name in wanted}
    return EncoderFile(module, told, shapes, held, missing, tuple(left))


def _check_told(found: Settings, told: Settings, first: str, second: str) -> None:
    """Raises UserError where shapes and what is told of them differ."""
    for name, value in found.items():
        other = told.get(name, value)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            _check_told(value, other, first, second)
        elif other != value:
            raise UserError(f"{first} {name}={value!r}, and {second} {other!r}: another model.")


def _joined(first: Settings, second: Settings) -> dict[str, Any]:
    """Settings, and those within, of which the second win."""
    found = dict(first)
    for name, value in second.items():
        own = found.get(name)
        if isinstance(value, Mapping) and isinstance(own, Mapping):
            value = _joined(own, value)
        found[name] = value
    return found
