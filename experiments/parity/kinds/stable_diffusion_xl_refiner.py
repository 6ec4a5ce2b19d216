"""StableDiffusionXLImg2ImgPipeline: SDXL's refiner, which draws the last steps of a picture."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.parity import texts as encoders
from experiments.parity.kind import SIZE, Options, PipelineKind, maybe, normal
from experiments.parity.kinds import autoencoder_kl, stable_diffusion, stable_diffusion_xl

NUMBERS = 5  # sizes and a score
CELLS = 4, 12


def draw(pick: random.Random) -> Options:
    """As of SDXL with the second of its encoders alone; a score is told in the place of a size."""
    text = encoders.draw_clip(pick)
    unet = stable_diffusion.draw_unet(pick, text["hidden_size"])
    wide = NUMBERS * stable_diffusion_xl.SINES + text["projection_dim"]
    told = {"addition_time_embed_dim": stable_diffusion_xl.SINES}
    return {
        "unet": unet
        | told
        | {"addition_embed_type": "text_time", "projection_class_embeddings_input_dim": wide},
        "text_encoder_2": text,
        "vae": autoencoder_kl.draw(pick) | {"latent_channels": 4, "shift_factor": None},
        "force_zeros_for_empty_prompt": maybe(pick),
        "settings": {
            "strength": pick.choice([0.3, 0.6, 1.0]),
            "aesthetic_score": pick.choice([6.0, 4.5]),
            "negative_aesthetic_score": pick.choice([2.5, 1.0]),
        },
    }


def build(options: Options, scheduler: Any) -> Any:
    """The original's."""
    from diffusers import AutoencoderKL, StableDiffusionXLImg2ImgPipeline, UNet2DConditionModel

    encoder, tokenizer = encoders.clip(options["text_encoder_2"], encoders.CLIP_OTHER, True)
    return StableDiffusionXLImg2ImgPipeline(
        vae=AutoencoderKL(**options["vae"]),
        text_encoder=None,
        text_encoder_2=encoder,
        tokenizer=None,
        tokenizer_2=tokenizer,
        unet=UNet2DConditionModel(**options["unet"]),
        scheduler=scheduler,
        requires_aesthetics_score=True,
        force_zeros_for_empty_prompt=options["force_zeros_for_empty_prompt"],
        add_watermarker=False,
    )


def known(random: np.random.Generator) -> np.ndarray:
    """Latents of two pictures."""
    return normal(random, SIZE, 4, *CELLS)


def call(
    pipe: Any, prompts: Sequence[str], steps: int, guidance: float, known: Any, **settings: Any
) -> np.ndarray:
    """Pictures from 0 to 1."""
    # It reads sizes off latents as if they were pictures.
    size = tuple(side * pipe.vae_scale_factor for side in CELLS)
    told = {"num_inference_steps": steps, "guidance_scale": guidance, "output_type": "np"}
    told |= {"original_size": size, "target_size": size, **settings}
    return np.asarray(pipe(list(prompts), image=known.clone(), **told).images)


def texts(pipe: Any, prompts: Sequence[str], **settings: Any) -> dict[str, Any]:
    """Tokens of prompts, and their pooled vectors."""
    return stable_diffusion_xl.texts(pipe, prompts)


KIND = PipelineKind(
    draw,
    build,
    call,
    encoders.two_sentences,
    # Others begin such a run with steps of lower order, or repeat one.
    (
        "DDIMScheduler",
        "DPMSolverMultistepScheduler",
        "EulerDiscreteScheduler",
        "EulerAncestralDiscreteScheduler",
        "HeunDiscreteScheduler",
    ),
    guidance=(1.0, 2.0),
    texts=texts,
    gain=0.6,
    known=known,
)
