"""CLIP whole: captions and pictures as vectors, and how alike they are; CLIPModel."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.parity import encoders
from experiments.parity.kind import Arrays, NetworkKind, Options
from experiments.parity.kinds import clip_text, clip_vision


def draw(pick: random.Random) -> Options:
    """Settings of both encoders, and what they share."""
    return {
        "text_config": clip_text.draw(pick),
        "vision_config": clip_vision.draw(pick),
        "projection_dim": pick.choice([3, 8]),
        "logit_scale_init_value": 1.3,
    }


def build(options: Options) -> Any:
    """The original's."""
    import transformers

    return transformers.CLIPModel(transformers.CLIPConfig(**options))


def inputs(options: Options, random: np.random.Generator) -> Arrays:
    """Captions and pictures."""
    captions = encoders.text(options["text_config"], random)
    return captions | encoders.pictures(options["vision_config"], random)


def call(model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Vectors of length 1, and the logits of each picture."""
    told = {"attention_mask": given["mask"], "pixel_values": given["pictures"]}
    found = model(input_ids=given["ids"], **told)
    vectors = {"captions": found.text_embeds, "pictures": found.image_embeds}
    return vectors | {"alike": found.logits_per_image}


def ours(module: Any, params: Any, options: Options, given: dict[str, Any]) -> dict[str, Any]:
    """The same."""
    import jax.numpy as jnp

    pictures = jnp.moveaxis(given["pictures"], 1, -1)
    captions = module.apply({"params": params}, given["ids"], given["mask"].astype(bool)).pooled
    seen = module.apply({"params": params}, pictures).pooled
    alike = module.apply({"params": params}, captions, seen, method="alike")
    vectors = {"captions": captions, "pictures": seen}
    each = {k: v / jnp.linalg.norm(v, axis=-1, keepdims=True) for k, v in vectors.items()}
    return each | {"alike": alike}


KIND = NetworkKind(draw, build, inputs, call, ours)
