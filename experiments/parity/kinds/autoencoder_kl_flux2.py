"""FLUX.2's autoencoder, whose latents are patches: AutoencoderKLFlux2."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.parity.kind import SIZE, Arrays, NetworkKind, Options, maybe, normal
from experiments.parity.kinds import autoencoder_kl


def draw(pick: random.Random) -> Options:
    """Its settings; up to three levels, the decoder's of other widths or not."""
    levels, groups = pick.randint(1, 3), pick.choice([1, 2])
    return {
        "block_out_channels": [groups * pick.randint(2, 4) for _ in range(levels)],
        "decoder_block_out_channels": pick.choice([None, [groups * 3] * levels]),
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "layers_per_block": pick.randint(1, 2),
        "act_fn": pick.choice(autoencoder_kl.ACTIVATIONS),
        "latent_channels": pick.choice([2, 4]),
        "norm_num_groups": groups,
        "use_quant_conv": maybe(pick),
        "use_post_quant_conv": maybe(pick),
        "mid_block_add_attention": pick.random() < 0.7,
        "batch_norm_eps": pick.choice([1e-4, 0.1]),
    }


def build(options: Options) -> Any:
    """The original's, with statistics of latents that are not those of an untrained one."""
    import torch
    from diffusers import AutoencoderKLFlux2

    model, random = AutoencoderKLFlux2(**options), np.random.default_rng(0)
    count = len(model.bn.running_mean)
    model.bn.running_mean.copy_(torch.from_numpy(normal(random, count)))
    model.bn.running_var.copy_(torch.from_numpy(random.uniform(0.5, 2, count).astype("f4")))
    return model


def inputs(options: Options, random: np.random.Generator) -> Arrays:
    """Pictures whose sides are multiples of what it takes."""
    factor = 2 ** len(options["block_out_channels"])
    return {"x": normal(random, SIZE, 3, *(factor * random.integers(1, 4, 2)))}


def call(model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Latents as the pipeline has them, and pictures again."""
    from diffusers import Flux2Pipeline

    told = model.encode(given["x"]).latent_dist
    latents = model.bn(Flux2Pipeline._patchify_latents(told.mean))
    pictures = model.decode(told.mean).sample
    return {"encoded": latents, "log_variance": told.logvar, "round_trip": pictures}


KIND = NetworkKind(draw, build, inputs, call, autoencoder_kl.ours)
