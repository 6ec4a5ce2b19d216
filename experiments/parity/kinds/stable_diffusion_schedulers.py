"""StableDiffusionPipeline with every scheduler that it takes, and a small network."""

import dataclasses
import random

from experiments.parity.kind import Options
from experiments.parity.kinds import stable_diffusion

SMALL = {"layers_per_block": 1, "transformer_layers_per_block": 1, "mid_block_type": None}


def draw(pick: random.Random) -> Options:
    """As of the pipeline's own kind."""
    found = stable_diffusion.draw(pick)
    return found | {"unet": found["unet"] | SMALL}


KIND = dataclasses.replace(
    stable_diffusion.KIND,
    draw=draw,
    each=len(stable_diffusion.SCHEDULERS),
    doubled=True,
    guidance=(2.0,),
)
