"""StableDiffusionXLPipeline: a U-Net on latents, asked in words by two of CLIP's text encoders."""

import random
from collections.abc import Sequence
from typing import Any

from experiments.parity import texts as encoders
from experiments.parity.kind import Options, PipelineKind, maybe
from experiments.parity.kinds import autoencoder_kl, stable_diffusion

SINES, SIZES = 4, 6


def draw(pick: random.Random) -> Options:
    """Settings of its parts; the U-Net is told a pooled vector and sizes."""
    first, second = encoders.draw_clip(pick), encoders.draw_clip(pick)
    unet = stable_diffusion.draw_unet(pick, first["hidden_size"] + second["hidden_size"])
    return {
        "unet": unet
        | {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": SINES,
            "projection_class_embeddings_input_dim": SIZES * SINES + second["projection_dim"],
        },
        "text_encoder": first,
        "text_encoder_2": second,
        "vae": autoencoder_kl.draw(pick) | {"latent_channels": 4, "shift_factor": None},
        "force_zeros_for_empty_prompt": maybe(pick),
    }


def build(options: Options, scheduler: Any) -> Any:
    """The original's."""
    from diffusers import AutoencoderKL, StableDiffusionXLPipeline, UNet2DConditionModel

    first, tokenizer = encoders.clip(options["text_encoder"], encoders.CLIP)
    second, tokenizer_2 = encoders.clip(options["text_encoder_2"], encoders.CLIP_OTHER, True)
    return StableDiffusionXLPipeline(
        vae=AutoencoderKL(**options["vae"]),
        text_encoder=first,
        text_encoder_2=second,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer_2,
        unet=UNet2DConditionModel(**options["unet"]),
        scheduler=scheduler,
        force_zeros_for_empty_prompt=options["force_zeros_for_empty_prompt"],
        add_watermarker=False,
    )


def texts(pipe: Any, prompts: Sequence[str], **settings: Any) -> dict[str, Any]:
    """Tokens of prompts, and their pooled vectors."""
    told = {"device": "cpu", "do_classifier_free_guidance": False} | settings
    tokens, _, pooled, _ = pipe.encode_prompt(list(prompts), **told)
    return {"tokens": tokens, "pooled": pooled}


KIND = PipelineKind(
    draw,
    build,
    stable_diffusion.call,
    encoders.two_sentences,
    stable_diffusion.SCHEDULERS,
    guidance=(1.0, 2.0),
    texts=texts,
    gain=0.6,
)
