"""DINOv2's encoder of pictures: Dinov2Model, and Dinov2WithRegistersModel."""

import random
from typing import Any

import numpy as np

from experiments.parity import encoders
from experiments.parity.kind import SIZE, Arrays, NetworkKind, Options, maybe, normal


def draw(pick: random.Random) -> Options:
    """Its settings; half of the models have registers."""
    registers = {"num_register_tokens": pick.choice([1, 3])} if maybe(pick) else {}
    return encoders.vision(pick) | {
        "mlp_ratio": pick.choice([2, 4]),
        "hidden_act": pick.choice(["gelu", "relu"]),
        "qkv_bias": maybe(pick),
        "use_swiglu_ffn": maybe(pick),
        "layer_norm_eps": pick.choice([1e-6, 1e-3]),
        **registers,
    }


def build(options: Options) -> Any:
    """The original's."""
    import transformers

    if "num_register_tokens" in options:
        config = transformers.Dinov2WithRegistersConfig(**options)
        return transformers.Dinov2WithRegistersModel(config)
    return transformers.Dinov2Model(transformers.Dinov2Config(**options))


def inputs(options: Options, random: np.random.Generator) -> Arrays:
    """Pictures of another size than it was trained on."""
    sides = options["patch_size"] * random.integers(2, 6, 2)
    return {"pictures": normal(random, SIZE, 3, *sides)}


KIND = NetworkKind(draw, build, inputs, encoders.original_pictures, encoders.our_pictures)
