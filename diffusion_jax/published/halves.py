"""Either half of CLIP out of what has both: the encoder of captions, or that of pictures."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from diffusion_jax.errors import UserError
from diffusion_jax.networks.encoders.clip import CLIP
from diffusion_jax.networks.encoders.clip_text import CLIPText
from diffusion_jax.networks.encoders.clip_vision import CLIPVision
from diffusion_jax.published.readers import Tensor

HALVES: Mapping[str, tuple[str, ...]] = {
    "text": ("text_model.", "text_projection."),
    "pictures": ("vision_model.", "visual_projection."),
}
"""What each half reads -> how the names of its tensors begin"""
OURS = ("parent", "name", "dtype", "attention_implementation")  # fields that no original has


def half_module(whole: Any, half: str) -> CLIPText | CLIPVision:
    """The module that is half of another.

    Args:
        whole: a CLIP.
        half: "text" or "pictures".

    Raises:
        UserError: it has no such half.
    """
    if not isinstance(whole, CLIP):
        raise UserError(f"A {type(whole).__name__} has no half that reads {half}: CLIP alone has.")
    text, pictures = whole.halves()
    return text if half == "text" else pictures


def half_tensors(tensors: Mapping[str, Tensor], half: str) -> dict[str, Tensor]:
    """The tensors of a half, as transformers names them."""
    return {name: tensor for name, tensor in tensors.items() if name.startswith(HALVES[half])}


def half_configuration(module: CLIPText | CLIPVision) -> dict[str, Any]:
    """A half's configuration, as transformers has it where the half is released alone."""
    fields = [each.name for each in dataclasses.fields(module) if each.name not in OURS]
    return {"architectures": [module.original]} | {name: getattr(module, name) for name in fields}
