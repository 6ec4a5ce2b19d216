"""PixArtAlphaPipeline: a transformer on latents, asked in words by T5's encoder."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.parity import texts as encoders
from experiments.parity.kind import Options, PipelineKind, maybe
from experiments.parity.kinds import autoencoder_kl, pixart_transformer, stable_diffusion

CHANNELS, SIZED = 4, 128  # a sample_size by which the original tells the picture's size


def draw(pick: random.Random) -> Options:
    """Settings of its parts; a network of the largest sample_size is told the picture's size."""
    transformer = pixart_transformer.draw(pick)
    width = pick.choice([6, 8])
    sized = transformer["sample_size"] == SIZED
    return {
        "transformer": transformer
        | {"in_channels": CHANNELS, "out_channels": pick.choice([CHANNELS, 2 * CHANNELS])}
        | {"caption_channels": width, "use_additional_conditions": sized},
        "text_encoder": encoders.draw_t5(pick, width),
        "vae": autoencoder_kl.draw(pick) | {"latent_channels": CHANNELS, "shift_factor": None},
        "settings": {"use_resolution_binning": False, "clean_caption": maybe(pick)},
    }


def parts(options: Options) -> dict[str, Any]:
    """The original's parts, but for the scheduler."""
    from diffusers import AutoencoderKL

    encoder, tokenizer = encoders.t5(options["text_encoder"])
    return {
        "tokenizer": tokenizer,
        "text_encoder": encoder,
        "vae": AutoencoderKL(**options["vae"]),
        "transformer": pixart_transformer.build(options["transformer"]),
    }


def build(options: Options, scheduler: Any) -> Any:
    """The original's."""
    from diffusers import PixArtAlphaPipeline

    return PixArtAlphaPipeline(scheduler=scheduler, **parts(options))


def call(
    pipe: Any, prompts: Sequence[str], steps: int, guidance: float | None, **settings: Any
) -> np.ndarray:
    """Pictures from 0 to 1; the original takes sides that are multiples of 8 alone."""
    side = max(8, 2 * pipe.vae_scale_factor * pipe.transformer.config.patch_size)
    told = {"num_inference_steps": steps, "guidance_scale": guidance, "output_type": "np"}
    size = {"height": side, "width": 2 * side}
    return np.asarray(pipe(list(prompts), **size, **told, **settings).images)


def texts(pipe: Any, prompts: Sequence[str], **settings: Any) -> dict[str, Any]:
    """Tokens of prompts, and which are no padding."""
    clean = settings["clean_caption"]
    tokens, mask, _, _ = pipe.encode_prompt(list(prompts), False, device="cpu", clean_caption=clean)
    return {"tokens": tokens, "mask": mask}


KIND = PipelineKind(
    draw,
    build,
    call,
    encoders.odd_captions,
    stable_diffusion.SCHEDULERS,
    guidance=(1.0, 2.0),
    texts=texts,
    gain=0.6,
    single_sines=True,
)
