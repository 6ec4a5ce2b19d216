"""PixArt's transformer by itself: PixArtTransformer2DModel."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.parity.kind import SIZE, Arrays, NetworkKind, Options, maybe, normal

LENGTH, CAPTION = 5, 7


def draw(pick: random.Random) -> Options:
    """Its settings: with the size of the picture or without, captions of its width or another."""
    patch, channels = pick.choice([1, 2]), pick.choice([3, 4])
    heads, head = pick.choice([(3, 4), (2, 6), (1, 12), (3, 8)])
    return {
        "num_attention_heads": heads,
        "attention_head_dim": head,
        "in_channels": channels,
        "out_channels": pick.choice([channels, 2 * channels]),
        "num_layers": pick.choice([1, 2]),
        "cross_attention_dim": heads * head,
        "attention_bias": maybe(pick),
        "sample_size": pick.choice([patch * 4, 128 if patch == 2 else 64]),
        "patch_size": patch,
        "activation_fn": pick.choice(["gelu-approximate", "geglu", "linear-silu"]),
        "norm_elementwise_affine": maybe(pick),
        "interpolation_scale": pick.choice([None, 2, 0.5]),
        "use_additional_conditions": maybe(pick),
        "caption_channels": pick.choice([CAPTION, CAPTION, None]),
    }


def build(options: Options) -> Any:
    """The original's."""
    from diffusers import PixArtTransformer2DModel

    return PixArtTransformer2DModel(**options)


def inputs(options: Options, random: np.random.Generator) -> Arrays:
    """Pictures of unequal sides, timesteps, and captions of different lengths."""
    sides = options["patch_size"] * random.integers(2, 5, 2)
    width = options["caption_channels"] or options["cross_attention_dim"]
    lengths = random.integers(1, LENGTH + 1, (SIZE, 1))
    return {
        "x": normal(random, SIZE, options["in_channels"], *sides),
        "t": random.integers(0, 1000, SIZE),
        "tokens": normal(random, SIZE, LENGTH, width),
        "mask": np.arange(LENGTH)[None] < lengths,
        "sizes": np.array([[512.0, 768.0, 0.666], [1024.0, 1024.0, 1.0]], "f4"),
    }


def call(model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Its output."""
    sizes = {"resolution": None, "aspect_ratio": None}
    if model.config.use_additional_conditions:
        sizes = {"resolution": given["sizes"][:, :2], "aspect_ratio": given["sizes"][:, 2:]}
    told = {"added_cond_kwargs": sizes, "encoder_attention_mask": given["mask"]}
    return {"output": model(given["x"], given["tokens"], given["t"], **told).sample}


def ours(module: Any, params: Any, options: Options, given: dict[str, Any]) -> dict[str, Any]:
    """The same."""
    import jax.numpy as jnp

    from diffusion_jax.networks.conditioners.base import Context

    numbers = given["sizes"] if options["use_additional_conditions"] else None
    pooled = jnp.zeros((len(given["x"]), 0), float)
    context = Context(given["tokens"], given["mask"], pooled, None, numbers)
    x, t = jnp.moveaxis(given["x"], 1, -1), given["t"].astype(float)
    return {"output": jnp.moveaxis(module.apply({"params": params}, x, t, context), -1, 1)}


KIND = NetworkKind(draw, build, inputs, call, ours, single_sines=True)
