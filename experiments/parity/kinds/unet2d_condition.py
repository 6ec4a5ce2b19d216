"""The U-Net of Stable Diffusion 1, 2 and XL by itself: UNet2DConditionModel."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.parity.kind import SIZE, Arrays, NetworkKind, Options, maybe, normal
from experiments.parity.kinds.autoencoder_kl import ACTIVATIONS

CLASSES, POOLED, SIZES, SINES = 5, 3, 6, 4


def draw(pick: random.Random) -> Options:
    """Its settings: attention at some levels, layers of each, classes, text and sizes beside."""
    levels, groups = pick.randint(1, 3), pick.choice([1, 2, 4])
    names = pick.choice([PLAIN, PLAIN, ("ResnetDownsampleBlock2D", "CrossAttnDownBlock2D")])
    down = [pick.choice(names) for _ in range(levels)]
    up = [name.replace("Downsample", "Upsample").replace("Down", "Up") for name in down[::-1]]
    layers = [pick.randint(1, 2) for _ in range(levels)]
    first = 2 * groups
    heads = [pick.choice([1, 2]) for _ in range(levels)]
    crossed = [maybe(pick) for _ in range(levels)]
    time = pick.choice(["positional", "positional", "positional", "fourier"])
    told = _told(pick, time)
    return {
        "sample_size": 16,
        "in_channels": 4,
        "out_channels": pick.choice([4, 8]),
        "center_input_sample": pick.random() < 0.25,
        "flip_sin_to_cos": maybe(pick),
        "freq_shift": pick.randint(0, 1) if first > 3 else 0,
        "down_block_types": down,
        "up_block_types": up,
        "mid_block_type": pick.choice([*MIDDLES, "UNetMidBlock2DCrossAttn"]),
        "only_cross_attention": pick.choice([False, False, crossed]),
        "block_out_channels": [first, *(groups * pick.randint(2, 4) for _ in range(levels - 1))],
        "layers_per_block": layers,
        "downsample_padding": pick.randint(0, 1),
        "mid_block_scale_factor": pick.choice([1, 1.5]),
        "act_fn": pick.choice(ACTIVATIONS),
        "norm_num_groups": groups,
        "norm_eps": pick.choice([1e-5, 1e-6]),
        "cross_attention_dim": pick.choice([3, 6]),
        "attention_head_dim": pick.choice([heads, 1, 2]),
        "use_linear_projection": maybe(pick),
        "upcast_attention": maybe(pick),
        "resnet_time_scale_shift": pick.choice(["default", "scale_shift"]),
        "resnet_skip_time_act": maybe(pick),
        "resnet_out_scale_factor": pick.choice([1.0, 1.3]),
        "time_embedding_type": time,
        "time_embedding_dim": pick.choice([None, 10]),
        "time_embedding_act_fn": pick.choice([None, None, "silu"]),
        "timestep_post_act": pick.choice([None, None, "gelu"]),
        "conv_in_kernel": pick.choice([3, 3, 5]),
        "conv_out_kernel": pick.choice([3, 3, 1]),
        **_depths(pick, layers),
        **pick.choice([{}, {"encoder_hid_dim": 5, "encoder_hid_dim_type": "text_proj"}]),
        "time_cond_proj_dim": pick.choice([None, None, 4, 9]),
        **told,
    }


PLAIN = ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "AttnDownBlock2D")
MIDDLES = ("UNetMidBlock2DCrossAttn", "UNetMidBlock2D", None)


def _depths(pick: random.Random, layers: list[int]) -> Options:
    """How many blocks its transformers have: at all levels, at each, or at each layer."""
    every, each = pick.randint(1, 2), [pick.randint(1, 2) for _ in layers]
    down = [[pick.randint(1, 2) for _ in range(count)] for count in layers]
    up = [[pick.randint(1, 2) for _ in range(count + 1)] for count in layers[::-1]]
    name, back = "transformer_layers_per_block", "reverse_transformer_layers_per_block"
    return pick.choice([{name: every}, {name: each}, {name: down, back: up}])


def _told(pick: random.Random, time: str) -> Options:
    """What is added to the noise level: a class, or the pooled text and sizes that SDXL is told."""
    wide = "projection_class_embeddings_input_dim"
    found: list[Options] = [
        {},
        {"addition_embed_type": "text_time", "addition_time_embed_dim": SINES}
        | {wide: SIZES * SINES + POOLED},
        {"num_class_embeds": CLASSES},
        {"class_embed_type": "identity"},
        {"class_embed_type": "projection", wide: 7},
        {"class_embed_type": "simple_projection", wide: 7},
    ]
    if time == "positional":
        found.append({"class_embed_type": "timestep"})
    chosen = pick.choice([*found[:2], *found])
    concat = bool(chosen) and "addition_embed_type" not in chosen and maybe(pick)
    return {**chosen, "class_embeddings_concat": concat}


def build(options: Options) -> Any:
    """The original's."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(**options)


def inputs(options: Options, random: np.random.Generator) -> Arrays:
    """Latents of odd sides where it takes such, noise levels, words, and what else it is told."""
    halved = {"AttnDownBlock2D", "ResnetDownsampleBlock2D"} & {*options["down_block_types"]}
    factor = 2 ** (len(options["block_out_channels"]) - 1) if halved else 1
    sides = factor * random.integers(*((2, 4) if factor > 1 else (5, 10)), 2)
    length = int(random.integers(2, 6))
    width = options.get("encoder_hid_dim") or options["cross_attention_dim"]
    found = {
        "x": normal(random, SIZE, 4, *sides),
        "t": random.uniform(0, 999, SIZE).astype("f4"),
        "tokens": normal(random, SIZE, length, width),
        "mask": np.arange(length)[None] < random.integers(1, length + 1, (SIZE, 1)),
    }
    kind = options.get("class_embed_type")
    if "num_class_embeds" in options:
        found["classes"] = random.integers(0, CLASSES, SIZE)
    elif kind == "timestep":
        found["classes"] = random.uniform(0, 20, SIZE).astype("f4")
    elif kind is not None:
        found["classes"] = normal(random, SIZE, 7 if "projection" in kind else _embedding(options))
    if "addition_embed_type" in options:
        found["pooled"] = normal(random, SIZE, POOLED)
        found["sizes"] = random.integers(0, 1024, (SIZE, SIZES)).astype("f4")
    if options["time_cond_proj_dim"]:
        found["scale"] = random.uniform(1, 2, SIZE).astype("f4")
    return found


def _embedding(options: Options) -> int:
    """Width of the embedding of the noise level."""
    times = 2 if options["time_embedding_type"] == "fourier" else 4
    return int(options["time_embedding_dim"] or times * options["block_out_channels"][0])


def call(model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Its output."""
    more = {"text_embeds": given.get("pooled"), "time_ids": given.get("sizes")}
    told = {
        "encoder_hidden_states": given["tokens"],
        "encoder_attention_mask": given["mask"],
        "class_labels": given.get("classes"),
        "added_cond_kwargs": more,
    }
    if "scale" in given:
        told["timestep_cond"] = _guidance(given["scale"], model.config.time_cond_proj_dim)
    return {"output": model(given["x"], given["t"], **told).sample}


def _guidance(scale: Any, width: int) -> Any:
    """Features of a scale of guidance, as the original's pipeline makes them."""
    from diffusers import LatentConsistencyModelPipeline

    return LatentConsistencyModelPipeline.get_guidance_scale_embedding(
        LatentConsistencyModelPipeline, scale - 1, width, scale.dtype
    )


def ours(module: Any, params: Any, options: Options, given: dict[str, Any]) -> dict[str, Any]:
    """The same."""
    import jax
    import jax.numpy as jnp

    from diffusion_jax.networks.conditioners.base import Context

    pooled = given.get("pooled", jnp.zeros((len(given["x"]), 0), float))
    classes, numbers = given.get("classes"), given.get("sizes")
    if options.get("class_embed_type") == "timestep":
        numbers = given["classes"][:, None]
    elif classes is not None:
        pooled = classes if classes.ndim == 2 else jax.nn.one_hot(classes, CLASSES, dtype=float)
    if "scale" in given:
        scale = given["scale"][:, None]
        numbers = scale if numbers is None else jnp.concatenate([numbers, scale], axis=1)
    context = Context(given["tokens"], given["mask"], pooled, None, numbers)
    x = jnp.moveaxis(given["x"], 1, -1)
    return {"output": jnp.moveaxis(module.apply({"params": params}, x, given["t"], context), -1, 1)}


KIND = NetworkKind(draw, build, inputs, call, ours)
