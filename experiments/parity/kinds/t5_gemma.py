"""T5Gemma's encoder: T5GemmaEncoder, with a window that is shorter than captions."""

import random
from typing import Any

from experiments.parity import encoders
from experiments.parity.kind import NetworkKind, Options, maybe


def draw(pick: random.Random) -> Options:
    """Its settings."""
    groups = pick.choice([1, 2])
    heads = groups * pick.choice([1, 2, 3])
    return {
        "vocab_size": encoders.WORDS,
        "hidden_size": heads * pick.choice([3, 4]),
        "intermediate_size": pick.choice([8, 13]),
        "num_hidden_layers": pick.choice([2, 3]),
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        "head_dim": pick.choice([2, 4, 6]),
        "attention_bias": maybe(pick),
        "query_pre_attn_scalar": pick.choice([2, 5]),
        "sliding_window": pick.choice([1, 2, 3]),
        "attn_logit_softcapping": pick.choice([None, 0.5, 2.0]),
    }


def build(options: Options) -> Any:
    """The original's."""
    from transformers.models.t5gemma import modeling_t5gemma

    config = modeling_t5gemma.T5GemmaModuleConfig(**options)
    config.dropout_rate = 0.0
    return modeling_t5gemma.T5GemmaEncoder(config)


KIND = NetworkKind(draw, build, encoders.text, encoders.original_text, encoders.our_text)
