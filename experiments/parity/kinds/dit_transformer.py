"""DiT's transformer by itself: DiTTransformer2DModel."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.parity.kind import SIZE, Arrays, NetworkKind, Options, maybe, normal

CLASSES = 5


def draw(pick: random.Random) -> Options:
    """Its settings."""
    patch, channels = pick.choice([1, 2]), pick.choice([3, 4])
    return {
        "num_attention_heads": pick.choice([1, 2, 3]),
        "attention_head_dim": pick.choice([4, 8]),
        "in_channels": channels,
        "out_channels": pick.choice([channels, 2 * channels]),
        "num_layers": pick.choice([1, 2]),
        "sample_size": patch * pick.choice([3, 4]),
        "patch_size": patch,
        "attention_bias": maybe(pick),
        "activation_fn": pick.choice(["gelu-approximate", "geglu", "gelu", "swiglu"]),
        "num_embeds_ada_norm": CLASSES,
        "norm_elementwise_affine": maybe(pick),
        "norm_eps": pick.choice([1e-5, 1e-6]),
    }


def build(options: Options) -> Any:
    """The original's."""
    from diffusers import DiTTransformer2DModel

    return DiTTransformer2DModel(**options)


def inputs(options: Options, random: np.random.Generator) -> Arrays:
    """Pictures of another size than it was trained on, timesteps, a class and none."""
    side = options["patch_size"] * int(random.integers(2, 6))
    return {
        "x": normal(random, SIZE, options["in_channels"], side, side),
        "t": random.integers(0, 1000, SIZE),
        "classes": np.array([random.integers(CLASSES), CLASSES]),
    }


def call(model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Its output."""
    return {"output": model(given["x"], given["t"], given["classes"]).sample}


def ours(module: Any, params: Any, options: Options, given: dict[str, Any]) -> dict[str, Any]:
    """The same."""
    import jax
    import jax.numpy as jnp

    from diffusion_jax.networks.conditioners.base import Context

    count = options["num_embeds_ada_norm"] + 1
    pooled = jax.nn.one_hot(given["classes"], count, dtype=float)
    context = Context(pooled[:, None], jnp.ones((len(pooled), 1), bool), pooled)
    x, t = jnp.moveaxis(given["x"], 1, -1), given["t"].astype(float)
    return {"output": jnp.moveaxis(module.apply({"params": params}, x, t, context), -1, 1)}


KIND = NetworkKind(draw, build, inputs, call, ours, single_sines=True)
