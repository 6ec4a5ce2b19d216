"""LatentConsistencyModelPipeline: Stable Diffusion's, whose U-Net is told the scale of guidance."""

import random
from typing import Any

from experiments.parity import texts as encoders
from experiments.parity.kind import Options, PipelineKind
from experiments.parity.kinds import stable_diffusion


def draw(pick: random.Random) -> Options:
    """As of Stable Diffusion, with features of the scale."""
    found = stable_diffusion.draw(pick)
    return found | {"unet": found["unet"] | {"time_cond_proj_dim": pick.choice([4, 9])}}


def build(options: Options, scheduler: Any) -> Any:
    """The original's."""
    from diffusers import AutoencoderKL, LatentConsistencyModelPipeline, UNet2DConditionModel

    encoder, tokenizer = encoders.clip(options["text_encoder"], encoders.CLIP)
    return LatentConsistencyModelPipeline(
        vae=AutoencoderKL(**options["vae"]),
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(**options["unet"]),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


KIND = PipelineKind(
    draw,
    build,
    stable_diffusion.call,
    encoders.two_sentences,
    ("LCMScheduler",) * 3,  # three of its settings
    guidance=(1.0, 2.0),
    texts=stable_diffusion.texts,
    gain=0.6,
)
