"""DiTPipeline: classes of ImageNet on latents."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.parity.kind import Options, PipelineKind
from experiments.parity.kinds import autoencoder_kl, dit_transformer

CLASSES = 1000  # the original's pipeline knows no other number of them


def draw(pick: random.Random) -> Options:
    """Settings of both parts."""
    transformer = dit_transformer.draw(pick) | {"num_embeds_ada_norm": CLASSES}
    vae = autoencoder_kl.draw(pick) | {"shift_factor": None}  # which the original leaves out
    return {
        "transformer": transformer,
        "vae": vae | {"latent_channels": transformer["in_channels"]},
    }


def build(options: Options, scheduler: Any) -> Any:
    """The original's."""
    from diffusers import AutoencoderKL, DiTPipeline

    transformer = dit_transformer.build(options["transformer"])
    return DiTPipeline(transformer, AutoencoderKL(**options["vae"]), scheduler)


def call(pipe: Any, prompts: Sequence[str], steps: int, guidance: float | None) -> np.ndarray:
    """Pictures from 0 to 1."""
    classes = [int(prompt) for prompt in prompts]
    told = {"guidance_scale": guidance, "num_inference_steps": steps, "output_type": "np"}
    return np.asarray(pipe(classes, **told).images)


def prompts(options: Options, pick: random.Random) -> list[str]:
    """Two classes."""
    return [str(pick.randrange(CLASSES)) for _ in range(2)]


KIND = PipelineKind(
    draw,
    build,
    call,
    prompts,
    # The original starts others from noise that is not theirs.
    (
        "DDIMScheduler",
        "PNDMScheduler",
        "DPMSolverMultistepScheduler",
        "UniPCMultistepScheduler",
        "DEISMultistepScheduler",
    ),
    guidance=(1.0, 4.0),
    single_sines=True,
)
