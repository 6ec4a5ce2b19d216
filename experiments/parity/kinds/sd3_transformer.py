"""Stable Diffusion 3's transformer by itself: SD3Transformer2DModel."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.parity.kind import SIZE, Arrays, NetworkKind, Options, normal

WORDS, POOLED = 7, 5


def draw(pick: random.Random) -> Options:
    """Its settings: norms of queries and keys, blocks that attend twice, a table of places."""
    heads, head = pick.choice([(1, 4), (2, 6), (3, 4), (2, 8)])
    layers, channels, patch = pick.randint(1, 3), pick.choice([3, 4]), pick.choice([1, 2])
    return {
        "sample_size": patch * 4,
        "patch_size": patch,
        "in_channels": channels,
        "out_channels": channels,
        "num_layers": layers,
        "attention_head_dim": head,
        "num_attention_heads": heads,
        "joint_attention_dim": WORDS,
        "caption_projection_dim": heads * head,
        "pooled_projection_dim": POOLED,
        "pos_embed_max_size": pick.choice([5, 6, 8]),
        "dual_attention_layers": sorted(pick.sample(range(layers), pick.randint(0, layers))),
        "qk_norm": pick.choice([None, "rms_norm"]),
    }


def build(options: Options) -> Any:
    """The original's."""
    from diffusers import SD3Transformer2DModel

    return SD3Transformer2DModel(**options)


def inputs(options: Options, random: np.random.Generator) -> Arrays:
    """Latents of unequal sides, noise levels, words and their pooled vector."""
    sides = options["patch_size"] * random.integers(2, 6, 2)
    return {
        "x": normal(random, SIZE, options["in_channels"], *sides),
        "t": random.uniform(0, 1000, SIZE).astype("f4"),
        "tokens": normal(random, SIZE, int(random.integers(1, 7)), WORDS),
        "pooled": normal(random, SIZE, POOLED),
    }


def call(model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Its output."""
    return {"output": model(given["x"], given["tokens"], given["pooled"], given["t"]).sample}


def ours(module: Any, params: Any, options: Options, given: dict[str, Any]) -> dict[str, Any]:
    """The same."""
    import jax.numpy as jnp

    from diffusion_jax.networks.conditioners.base import Context

    tokens = given["tokens"]
    context = Context(tokens, jnp.ones(tokens.shape[:2], bool), given["pooled"])
    x = jnp.moveaxis(given["x"], 1, -1)
    return {"output": jnp.moveaxis(module.apply({"params": params}, x, given["t"], context), -1, 1)}


KIND = NetworkKind(draw, build, inputs, call, ours, single_sines=True)
