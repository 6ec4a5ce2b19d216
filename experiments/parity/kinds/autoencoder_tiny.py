"""The autoencoder for pictures while sampling, TAESD: AutoencoderTiny."""

import random
from typing import Any

import numpy as np

from experiments.parity.kind import SIZE, Arrays, NetworkKind, Options, normal
from experiments.parity.kinds import autoencoder_dc, autoencoder_kl


def draw(pick: random.Random) -> Options:
    """Its settings; up to three levels."""
    levels = pick.randint(1, 3)
    return {
        "encoder_block_out_channels": [pick.randint(2, 6)] * levels,
        "decoder_block_out_channels": [pick.randint(2, 6)] * levels,
        "act_fn": pick.choice(["relu", "relu", *autoencoder_kl.ACTIVATIONS]),
        "latent_channels": pick.choice([4, 16]),
        "num_encoder_blocks": [pick.randint(1, 2) for _ in range(levels)],
        "num_decoder_blocks": [pick.randint(1, 2) for _ in range(levels)],
        "scaling_factor": pick.choice([1.0, 0.7]),
        "shift_factor": pick.choice([0.0, 0.1]),
    }


def build(options: Options) -> Any:
    """The original's."""
    from diffusers import AutoencoderTiny

    return AutoencoderTiny(**options)


def inputs(options: Options, random: np.random.Generator) -> Arrays:
    """Pictures whose sides are multiples of what it takes."""
    factor = 2 ** (len(options["encoder_block_out_channels"]) - 1)
    return {"x": normal(random, SIZE, 3, *(factor * random.integers(1, 5, 2)))}


KIND = NetworkKind(draw, build, inputs, autoencoder_dc.call, autoencoder_dc.ours)
