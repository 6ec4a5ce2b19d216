"""What the shapes of an encoder's tensors say of its settings, by its authors' names."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from diffusion_jax.errors import UserError
from diffusion_jax.published.readers import Tensor, Weights

HEAD = 64  # features of a head, in all that OpenAI released and in all of DINOv2


def clip_sizes(weights: Weights) -> dict[str, Any]:
    """Settings of CLIPModel but for heads and activation, which no tensor tells.

    Raises:
        UserError: a tensor is missing or of no shape that it could have.
    """
    if any(name.startswith("visual.layer1.") for name in weights):
        raise UserError(
            f"{weights.path} is a CLIP whose encoder of pictures is a ResNet, and no ViT: that is "
            "not here."
        )
    words, width = _shape(weights, "token_embedding.weight", 2)
    wide, colours, patch, _ = _shape(weights, "visual.conv1.weight", 4)
    text = "transformer.resblocks"
    pictures = f"visual.{text}"
    return {
        "projection_dim": _shape(weights, "visual.proj", 2)[1],
        "text_config": {
            "vocab_size": words,
            "hidden_size": width,
            "max_position_embeddings": _shape(weights, "positional_embedding", 2)[0],
            "num_hidden_layers": _layers(weights, text),
            "intermediate_size": _shape(weights, f"{text}.0.mlp.c_fc.weight", 2)[0],
        },
        "vision_config": {
            "hidden_size": wide,
            "num_channels": colours,
            "patch_size": patch,
            "image_size": patch * _side(weights, "visual.positional_embedding", 2),
            "num_hidden_layers": _layers(weights, pictures),
            "intermediate_size": _shape(weights, f"{pictures}.0.mlp.c_fc.weight", 2)[0],
        },
    }


def dinov2_sizes(weights: Weights) -> dict[str, Any]:
    """Settings of Dinov2Model, or of Dinov2WithRegistersModel, but for heads.

    Raises:
        UserError: a tensor is missing or of no shape that it could have.
    """
    width, colours, patch, _ = _shape(weights, "patch_embed.proj.weight", 4)
    gated = "blocks.0.mlp.w3.weight" in weights
    layer = "blocks.0.mlp.w3.weight" if gated else "blocks.0.mlp.fc2.weight"
    hidden = _shape(weights, layer, 2)[1]
    found: dict[str, Any] = {
        "hidden_size": width,
        "num_channels": colours,
        "patch_size": patch,
        "image_size": patch * _side(weights, "pos_embed", 3),
        "num_hidden_layers": _layers(weights, "blocks"),
        "use_swiglu_ffn": gated,
        "mlp_ratio": (1.5 if gated else 1) * hidden / max(width, 1),
        "qkv_bias": "blocks.0.attn.qkv.bias" in weights,
    }
    if "register_tokens" in weights:
        found["num_register_tokens"] = _shape(weights, "register_tokens", 3)[1]
    return found


def heads(widths: Iterable[int], where: str) -> list[int]:
    """How many heads layers have, where each has 64 features.

    Raises:
        UserError: a width that is no multiple of that.
    """
    found = list(widths)
    for width in found:
        if not width or width % HEAD:
            raise UserError(
                f"{where} has {width} features, and the authors' heads have {HEAD} each: name a "
                "folder that it is like (like=FOLDER), whose config.json says how many there are."
            )
    return [width // HEAD for width in found]


def _shape(weights: Weights, name: str, axes: int) -> tuple[int, ...]:
    shape = weights[name].shape
    if len(shape) != axes:
        raise UserError(f"{weights.path}: {name} has shape {shape}, and not {axes} axes.")
    return shape


def _side(weights: Weights, name: str, axes: int) -> int:
    """Patches along a side, of a table of places for a square and the whole."""
    count = _shape(weights, name, axes)[-2] - 1
    side = math.isqrt(max(count, 0))
    if side < 1 or side**2 != count:
        raise UserError(
            f"{weights.path}: {name} has {count} places of patches, which is no square."
        )
    return side


def _layers(weights: Mapping[str, Tensor], prefix: str) -> int:
    found = (re.match(rf"{re.escape(prefix)}\.(\d+)\.", name) for name in weights)
    return len({each[1] for each in found if each})
