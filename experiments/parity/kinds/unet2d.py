"""The U-Net of DDPM and NCSN++: UNet2DModel."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.parity.kind import SIZE, Arrays, NetworkKind, Options, maybe, normal
from experiments.parity.kinds.autoencoder_kl import ACTIVATIONS

CLASSES = 5
PLAIN = ("DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D")
SKIPPING = ("SkipDownBlock2D", "AttnSkipDownBlock2D")


def draw(pick: random.Random) -> Options:
    """Its settings: levels of both kinds, all three embeddings, classes told in each way."""
    skips, levels = pick.random() < 0.3, pick.randint(1, 3)
    groups = None if skips else pick.choice([2, 4])
    names, width = (SKIPPING, 32) if skips else (PLAIN, groups or 1)
    down = [pick.choice(names) for _ in range(levels)]
    up = [pick.choice(names).replace("Downsample", "Upsample") for _ in range(levels)]
    channels = [width * (1 if skips else pick.randint(1, 3)) for _ in range(levels)]
    time = pick.choice(["positional", "positional", "fourier", "learned"])
    told: list[Options] = [{}, {"num_class_embeds": CLASSES}, {"class_embed_type": "identity"}]
    if time == "positional":
        told.append({"class_embed_type": "timestep"})
    return {
        "sample_size": 16,
        "in_channels": 3,
        "out_channels": 3 if skips else pick.choice([3, 6]),
        "center_input_sample": maybe(pick),
        "time_embedding_type": time,
        "time_embedding_dim": pick.choice([None, 12]),
        "freq_shift": pick.randint(0, 1) if channels[0] > 3 else 0,
        "flip_sin_to_cos": maybe(pick),
        "down_block_types": down,
        "up_block_types": [name.replace("Down", "Up") for name in up],
        "mid_block_type": pick.choice(["UNetMidBlock2D", "UNetMidBlock2D", None]),
        "block_out_channels": channels,
        "layers_per_block": pick.randint(1, 2),
        "mid_block_scale_factor": pick.choice([1, 1.41421356237]),
        "downsample_padding": pick.randint(0, 1),
        "downsample_type": pick.choice(["conv", "resnet"]),
        "upsample_type": pick.choice(["conv", "resnet"]),
        "act_fn": pick.choice(ACTIVATIONS),
        "attention_head_dim": pick.choice([None, 2, 3]),
        "norm_num_groups": groups,
        "attn_norm_num_groups": pick.choice([None, 1]),
        "norm_eps": pick.choice([1e-5, 1e-6]),
        "resnet_time_scale_shift": pick.choice(["default", "scale_shift"]),
        "add_attention": pick.random() < 0.7,
        "num_train_timesteps": 50,
        **pick.choice(told),
    }


def build(options: Options) -> Any:
    """The original's."""
    from diffusers import UNet2DModel

    return UNet2DModel(**options)


def inputs(options: Options, random: np.random.Generator) -> Arrays:
    """Pictures, noise levels, and classes where it is told some."""
    factor = 2 ** (len(options["block_out_channels"]) - 1)
    found = {"x": normal(random, SIZE, 3, *(factor * random.integers(2, 4, 2)))}
    ends = {"learned": (0, 49), "fourier": (0.1, 20.0), "positional": (0.0, 999.0)}
    low, high = ends[options["time_embedding_type"]]
    found["t"] = random.uniform(low, high, SIZE).astype("f4")
    if options["time_embedding_type"] == "learned":
        found["t"] = found["t"].astype("i8")
    if "num_class_embeds" in options:
        found["classes"] = random.integers(0, CLASSES, SIZE)
    elif options.get("class_embed_type") == "timestep":
        found["classes"] = random.uniform(0, 20, SIZE).astype("f4")
    elif options.get("class_embed_type") == "identity":
        width = options["time_embedding_dim"] or 4 * options["block_out_channels"][0]
        found["classes"] = normal(random, SIZE, width)
    return found


def call(model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Its output."""
    return {"output": model(given["x"], given["t"], given.get("classes")).sample}


def ours(module: Any, params: Any, options: Options, given: dict[str, Any]) -> dict[str, Any]:
    """The same."""
    import jax
    import jax.numpy as jnp

    from diffusion_jax.networks.conditioners.base import Context

    context, classes = None, given.get("classes")
    if classes is not None:
        pooled, numbers = jnp.zeros((SIZE, 0)), None
        if options.get("class_embed_type") == "timestep":
            numbers = classes[:, None]
        else:
            told = classes.ndim == 2
            pooled = classes if told else jax.nn.one_hot(classes, CLASSES, dtype=float)
        context = Context(pooled[:, None], jnp.ones((SIZE, 1), bool), pooled, None, numbers)
    x = jnp.moveaxis(given["x"], 1, -1)
    return {"output": jnp.moveaxis(module.apply({"params": params}, x, given["t"], context), -1, 1)}


KIND = NetworkKind(draw, build, inputs, call, ours)
