"""DDPMPipeline: a U-Net on pixels that is asked for nothing."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.parity.kind import SIZE, Options, PipelineKind
from experiments.parity.kinds import unet2d

TOLD = ("num_class_embeds", "class_embed_type")


def draw(pick: random.Random) -> Options:
    """Settings of its U-Net, which is told no class and is given a timestep."""
    options = unet2d.draw(pick)
    while options["time_embedding_type"] != "positional" or options["out_channels"] != 3:
        options = unet2d.draw(pick)
    return {"unet": {name: value for name, value in options.items() if name not in TOLD}}


def build(options: Options, scheduler: Any) -> Any:
    """The original's."""
    from diffusers import DDPMPipeline

    return DDPMPipeline(unet2d.build(options["unet"]), scheduler)


def call(pipe: Any, prompts: Sequence[str], steps: int, guidance: float | None) -> np.ndarray:
    """Pictures from 0 to 1."""
    told = {"num_inference_steps": steps, "output_type": "np"}
    return np.asarray(pipe(batch_size=len(prompts), **told).images)


def prompts(options: Options, pick: random.Random) -> list[str]:
    """Nothing, twice."""
    return [""] * SIZE


KIND = PipelineKind(
    draw,
    build,
    call,
    prompts,
    # The original's pipeline runs no others.
    ("DDPMScheduler", "DDPMScheduler.large", "DDIMScheduler", "DPMSolverMultistepScheduler"),
)
