"""What kinds of encoders share: captions and pictures, and what both libraries make of them."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.parity.kind import SIZE, Arrays, Options, maybe, normal

WORDS = 30


def text(options: Options, random: np.random.Generator) -> Arrays:
    """Captions of which one is shorter, where what comes behind it is padding."""
    length = options.get("max_position_embeddings", 9)
    length = min(length, 9)
    count = random.integers(2, length, SIZE)
    count[0] = length
    ids = random.integers(3, WORDS - 1, (SIZE, length))
    ids[np.arange(SIZE), count - 1] = WORDS - 1
    return {"ids": ids, "mask": (np.arange(length) < count[:, None]).astype(np.int64)}


def width(pick: random.Random) -> Options:
    """Heads, features and layers by the names that most encoders have."""
    heads = pick.choice([1, 2, 3])
    return {
        "num_attention_heads": heads,
        "hidden_size": heads * pick.choice([4, 5]),
        "num_hidden_layers": pick.choice([1, 2, 3]),
    }


def vision(pick: random.Random) -> Options:
    """Sizes of pictures and patches, some of which leave a rest."""
    patch = pick.choice([2, 3])
    side = patch * pick.choice([2, 3]) + maybe(pick)
    return width(pick) | {"image_size": side, "patch_size": patch}


def pictures(options: Options, random: np.random.Generator) -> Arrays:
    """Pictures of the size that the encoder has."""
    side = options["image_size"]
    return {"pictures": normal(random, SIZE, 3, side, side)}


def original_text(model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The original's tokens that are no padding, and its pooled vector where it has one."""
    mask = given["mask"]
    found = model(input_ids=given["ids"], attention_mask=mask)
    pooled = found.get("pooler_output")
    tokens = {"tokens": found.last_hidden_state * mask[..., None]}
    return tokens if pooled is None else tokens | {"pooled": pooled}


def our_text(module: Any, params: Any, options: Options, given: dict[str, Any]) -> dict[str, Any]:
    """The same."""
    mask = given["mask"].astype(bool)
    found = module.apply({"params": params}, given["ids"], mask)
    tokens = {"tokens": found.tokens * mask[..., None]}
    return tokens if found.pooled is None else tokens | {"pooled": found.pooled}


def original_pictures(model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The original's tokens and pooled vector."""
    found = model(given["pictures"])
    return {"tokens": found.last_hidden_state, "pooled": found.pooler_output}


def our_pictures(
    module: Any, params: Any, options: Options, given: dict[str, Any]
) -> dict[str, Any]:
    """The same."""
    import jax.numpy as jnp

    found = module.apply({"params": params}, jnp.moveaxis(given["pictures"], 1, -1))
    return {"tokens": found.tokens, "pooled": found.pooled}
