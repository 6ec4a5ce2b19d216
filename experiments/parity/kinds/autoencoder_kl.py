"""The autoencoder of latent diffusion: AutoencoderKL."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.parity.kind import SIZE, Arrays, NetworkKind, Options, maybe, normal

ACTIVATIONS = ("silu", "silu", "gelu", "relu", "mish")


def draw(pick: random.Random) -> Options:
    """Its settings; up to three levels, with attention or without."""
    levels, groups = pick.randint(1, 3), pick.choice([1, 2, 4])
    attends = [pick.random() < 0.25 for _ in range(levels)]
    return {
        "block_out_channels": [groups * pick.randint(2, 4) for _ in range(levels)],
        "down_block_types": ["Attn" * attend + "DownEncoderBlock2D" for attend in attends],
        "up_block_types": ["Attn" * attend + "UpDecoderBlock2D" for attend in attends[::-1]],
        "layers_per_block": pick.randint(1, 2),
        "act_fn": pick.choice(ACTIVATIONS),
        "latent_channels": pick.choice([3, 4, 16]),
        "norm_num_groups": groups,
        "scaling_factor": round(pick.uniform(0.1, 2), 3),
        "shift_factor": pick.choice([None, 0.1159, 0.0609]),
        "use_quant_conv": maybe(pick),
        "use_post_quant_conv": maybe(pick),
        "mid_block_add_attention": pick.random() < 0.7,
        "force_upcast": maybe(pick),
        "sample_size": 16,
    }


def build(options: Options) -> Any:
    """The original's."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(**options)


def inputs(options: Options, random: np.random.Generator) -> Arrays:
    """Pictures whose sides are odd multiples of what it takes."""
    factor = 2 ** (len(options["block_out_channels"]) - 1)
    return {"x": normal(random, SIZE, 3, *(factor * random.integers(2, 5, 2)))}


def call(model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Latents as a pipeline has them, and pictures again."""
    told = model.encode(given["x"]).latent_dist
    shift = model.config.shift_factor or 0.0
    latents = (told.mean - shift) * model.config.scaling_factor
    pictures = model.decode(latents / model.config.scaling_factor + shift).sample
    return {"encoded": latents, "log_variance": told.logvar, "round_trip": pictures}


def ours(module: Any, params: Any, options: Options, given: dict[str, Any]) -> dict[str, Any]:
    """The same."""
    import jax.numpy as jnp

    x, variables = jnp.moveaxis(given["x"], 1, -1), {"params": params}
    mean, log_variance = module.apply(variables, x, method="encode")
    latents = module.apply(variables, mean, method="normalise")
    pictures = module.apply(variables, latents, method="reconstruct")
    found = {"encoded": latents, "log_variance": log_variance, "round_trip": pictures}
    return {name: jnp.moveaxis(array, -1, 1) for name, array in found.items()}


KIND = NetworkKind(draw, build, inputs, call, ours)
