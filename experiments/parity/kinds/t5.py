"""T5's encoder: T5EncoderModel."""

import random
from typing import Any

from experiments.parity import encoders
from experiments.parity.kind import NetworkKind, Options


def draw(pick: random.Random) -> Options:
    """Its settings."""
    return {
        "vocab_size": encoders.WORDS,
        "d_model": pick.choice([6, 8]),
        "d_kv": pick.choice([3, 4]),
        "d_ff": pick.choice([8, 13]),
        "num_layers": pick.choice([1, 2, 3]),
        "num_heads": pick.choice([1, 2, 3]),
        "relative_attention_num_buckets": pick.choice([4, 8, 12]),
        "relative_attention_max_distance": pick.choice([5, 20]),
        "feed_forward_proj": pick.choice(["gated-gelu", "relu", "gated-silu"]),
    }


def build(options: Options) -> Any:
    """The original's."""
    import transformers

    return transformers.T5EncoderModel(transformers.T5Config(**options))


KIND = NetworkKind(draw, build, encoders.text, encoders.original_text, encoders.our_text)
