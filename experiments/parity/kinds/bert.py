"""BERT: BertModel."""

import random
from typing import Any

from experiments.parity import encoders
from experiments.parity.kind import NetworkKind, Options


def draw(pick: random.Random) -> Options:
    """Its settings."""
    return encoders.width(pick) | {
        "vocab_size": encoders.WORDS,
        "intermediate_size": pick.choice([8, 13]),
        "max_position_embeddings": pick.choice([7, 12]),
        "hidden_act": pick.choice(["gelu", "gelu_new", "relu"]),
        "layer_norm_eps": pick.choice([1e-12, 1e-3]),
    }


def build(options: Options) -> Any:
    """The original's."""
    import transformers

    return transformers.BertModel(transformers.BertConfig(**options))


KIND = NetworkKind(draw, build, encoders.text, encoders.original_text, encoders.our_text)
