"""The deep-compression autoencoder of Sana, DC-AE: AutoencoderDC."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.parity.kind import SIZE, Arrays, NetworkKind, Options, maybe, normal


def draw(pick: random.Random) -> Options:
    """Its settings: residual and attention blocks, ways to resize, norms and activations."""
    levels, without = pick.randint(2, 3), maybe(pick)
    found: Options = {
        "attention_head_dim": pick.choice([4, 8]),
        "latent_channels": pick.choice([2, 4]),
        "upsample_block_type": pick.choice(["pixel_shuffle", "interpolate"]),
        "downsample_block_type": pick.choice(["pixel_unshuffle", "conv"]),
        "decoder_norm_types": [pick.choice(["rms_norm", "batch_norm"]) for _ in range(levels)],
        "decoder_act_fns": [pick.choice(["silu", "relu"]) for _ in range(levels)],
        "encoder_out_shortcut": maybe(pick),
        "decoder_in_shortcut": maybe(pick),
        "decoder_conv_act_fn": pick.choice(["relu", "silu"]),
        "scaling_factor": round(pick.uniform(0.1, 1), 3),
    }
    for part in ("encoder", "decoder"):
        layers = [pick.randint(1, 2) for _ in range(levels)]
        blocks = [pick.choice(["ResBlock", "EfficientViTBlock"]) for _ in range(levels)]
        scales = [[], [3], [5], [3, 5]]
        found |= {
            f"{part}_block_types": blocks,
            f"{part}_block_out_channels": [8, 16, pick.choice([16, 32])][:levels],
            f"{part}_layers_per_block": [0, *layers[1:]] if without else layers,
            f"{part}_qkv_multiscales": [pick.choice(scales) for _ in range(levels)],
        }
    return found


def build(options: Options) -> Any:
    """The original's."""
    from diffusers import AutoencoderDC

    return AutoencoderDC(**options)


def inputs(options: Options, random: np.random.Generator) -> Arrays:
    """Pictures whose sides are multiples of what it takes."""
    factor = 2 ** (len(options["encoder_block_types"]) - 1)
    return {"x": normal(random, SIZE, 3, *(factor * random.integers(1, 4, 2)))}


def call(model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Latents as a pipeline has them, which are certain, and pictures again."""
    latents = model.encode(given["x"])[0]
    shift, scale = model.config.get("shift_factor", 0.0), model.config.scaling_factor
    return {"encoded": (latents - shift) * scale, "round_trip": model.decode(latents).sample}


def ours(module: Any, params: Any, options: Options, given: dict[str, Any]) -> dict[str, Any]:
    """The same."""
    import jax.numpy as jnp

    x, variables = jnp.moveaxis(given["x"], 1, -1), {"params": params}
    mean, _ = module.apply(variables, x, method="encode")
    latents = module.apply(variables, mean, method="normalise")
    pictures = module.apply(variables, latents, method="reconstruct")
    return {
        name: jnp.moveaxis(y, -1, 1) for name, y in (("encoded", latents), ("round_trip", pictures))
    }


KIND = NetworkKind(draw, build, inputs, call, ours)
