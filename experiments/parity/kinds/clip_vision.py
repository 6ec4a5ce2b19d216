"""CLIP's encoder of pictures: CLIPVisionModel."""

import random
from typing import Any

from experiments.parity import encoders
from experiments.parity.kind import NetworkKind, Options


def draw(pick: random.Random) -> Options:
    """Its settings."""
    return encoders.vision(pick) | {
        "intermediate_size": pick.choice([8, 13]),
        "hidden_act": pick.choice(["quick_gelu", "gelu"]),
        "layer_norm_eps": pick.choice([1e-5, 1e-3]),
    }


def build(options: Options) -> Any:
    """The original's."""
    import transformers

    return transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**options))


KIND = NetworkKind(
    draw, build, encoders.pictures, encoders.original_pictures, encoders.our_pictures
)
