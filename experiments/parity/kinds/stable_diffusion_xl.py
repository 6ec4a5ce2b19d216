"""StableDiffusionXLPipeline: a U-Net on latents, asked in words by two of CLIP's text encoders."""

import random
from collections.abc import Sequence
from typing import Any

from experiments.parity.kind import Options, PipelineKind, maybe
from experiments.parity.kinds import autoencoder_kl, stable_diffusion

SECOND = stable_diffusion.TOKENIZER.with_name("clip_padded_with_a_mark")
SINES, SIZES = 4, 6


def draw(pick: random.Random) -> Options:
    """Settings of its parts; the U-Net is told a pooled vector and sizes."""
    first, second = stable_diffusion.draw_text(pick), stable_diffusion.draw_text(pick)
    # The layer before the last is read.
    encoders = [each | {"num_hidden_layers": pick.randint(2, 3)} for each in (first, second)]
    pooled = pick.choice([5, 6])
    unet = stable_diffusion.draw_unet(pick, first["hidden_size"] + second["hidden_size"])
    return {
        "unet": unet
        | {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": SINES,
            "projection_class_embeddings_input_dim": SIZES * SINES + pooled,
        },
        "text_encoder": encoders[0],
        "text_encoder_2": encoders[1] | {"projection_dim": pooled},
        "vae": autoencoder_kl.draw(pick) | {"latent_channels": 4, "shift_factor": None},
        "force_zeros_for_empty_prompt": maybe(pick),
    }


def build(options: Options, scheduler: Any) -> Any:
    """The original's."""
    from diffusers import AutoencoderKL, StableDiffusionXLPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    first, tokenizer = stable_diffusion.text_parts(CLIPTextModel, options["text_encoder"])
    second, tokenizer_2 = stable_diffusion.text_parts(
        CLIPTextModelWithProjection, options["text_encoder_2"], SECOND
    )
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


def texts(pipe: Any, prompts: Sequence[str]) -> dict[str, Any]:
    """Tokens of prompts, and their pooled vectors."""
    told = {"device": "cpu", "do_classifier_free_guidance": False}
    tokens, _, pooled, _ = pipe.encode_prompt(list(prompts), **told)
    return {"tokens": tokens, "pooled": pooled}


KIND = PipelineKind(
    draw,
    build,
    stable_diffusion.call,
    stable_diffusion.prompts,
    stable_diffusion.SCHEDULERS,
    guidance=(1.0, 2.0),
    texts=texts,
    gain=0.6,
)
