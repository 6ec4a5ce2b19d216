"""CLIP's encoder of captions: CLIPTextModel."""

import random
from typing import Any

from experiments.parity import encoders
from experiments.parity.kind import NetworkKind, Options


def draw(pick: random.Random) -> Options:
    """Its settings; an end that is said, or the highest id where older files say 2."""
    return encoders.width(pick) | {
        "vocab_size": encoders.WORDS,
        "intermediate_size": pick.choice([8, 13]),
        "max_position_embeddings": pick.choice([7, 12]),
        "hidden_act": pick.choice(["quick_gelu", "gelu"]),
        "layer_norm_eps": pick.choice([1e-5, 1e-3]),
        "eos_token_id": pick.choice([2, encoders.WORDS - 1]),
        "bos_token_id": 0,
    }


def build(options: Options) -> Any:
    """The original's."""
    import transformers

    return transformers.CLIPTextModel(transformers.CLIPTextConfig(**options))


KIND = NetworkKind(draw, build, encoders.text, encoders.original_text, encoders.our_text)
