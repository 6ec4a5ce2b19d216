"""Text encoders and tokenizers of pipelines' kinds, and prompts for them."""

import random
from pathlib import Path
from typing import Any

from experiments.parity.kind import Options, maybe

TOKENIZERS = Path(__file__).parents[2] / "tests" / "published" / "data" / "tokenizers"
CLIP, CLIP_OTHER, T5 = (TOKENIZERS / name for name in ("clip", "clip_padded_with_a_mark", "t5"))
ODD = (
    "A photograph of a dog!",
    "the fox jumps " * 4,
    "",
    "“Blue”&amp;red   hats (12x34) — <b>free</b> download",
    "this_is_my-best-cat.jpg, page 12 @someone +http://example.com/a",
)
SENTENCES = ("A photograph of a dog!", "the fox jumps " * 8, "a blue square", "", "it's 12 hats")


def two_sentences(options: Options, pick: random.Random) -> list[str]:
    """Two sentences, one of which may be too long or nothing."""
    return pick.sample(SENTENCES, 2)


def odd_captions(options: Options, pick: random.Random) -> list[str]:
    """Two captions, some of which have what pipelines leave out."""
    return pick.sample(ODD, 2)


def draw_clip(pick: random.Random) -> Options:
    """Settings of a CLIP text encoder."""
    heads = pick.choice([1, 2])
    return {
        "hidden_size": heads * pick.choice([4, 6]),
        "intermediate_size": 12,
        "num_hidden_layers": pick.randint(2, 3),
        "num_attention_heads": heads,
        "hidden_act": pick.choice(["quick_gelu", "gelu"]),
        "projection_dim": pick.choice([4, 6]),
    }


def draw_t5(pick: random.Random, width: int) -> Options:
    """Settings of a T5 encoder."""
    return {
        "d_model": width,
        "d_kv": pick.choice([4, 6]),
        "d_ff": 12,
        "num_layers": pick.randint(1, 2),
        "num_heads": pick.choice([1, 2]),
        "feed_forward_proj": pick.choice(["gated-gelu", "gated-gelu", "relu"]),
        "relative_attention_num_buckets": pick.choice([8, 32]),
        "relative_attention_max_distance": pick.choice([20, 128]),
        "tie_word_embeddings": maybe(pick),
    }


def clip(options: Options, folder: Path, projected: bool = False) -> tuple[Any, Any]:
    """The original's encoder, and the tokenizer of a folder."""
    from transformers import (
        CLIPTextConfig,
        CLIPTextModel,
        CLIPTextModelWithProjection,
        CLIPTokenizer,
    )

    tokenizer = CLIPTokenizer.from_pretrained(folder)
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **options,
    )
    kind = CLIPTextModelWithProjection if projected else CLIPTextModel
    return kind(config), tokenizer


def t5(options: Options) -> tuple[Any, Any]:
    """The original's encoder, and its tokenizer."""
    from transformers import T5Config, T5EncoderModel, T5Tokenizer

    tokenizer = T5Tokenizer.from_pretrained(T5)
    return T5EncoderModel(T5Config(vocab_size=len(tokenizer), **options)), tokenizer
