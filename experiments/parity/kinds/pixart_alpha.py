"""PixArtAlphaPipeline: a transformer on latents, asked in words by T5's encoder."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.parity.kind import Options, PipelineKind
from experiments.parity.kinds import autoencoder_kl, pixart_transformer, stable_diffusion

TOKENIZER = Path(stable_diffusion.TOKENIZER).with_name("t5")
AS_IT_IS = {"use_resolution_binning": False, "clean_caption": False}
CHANNELS, SIZED = 4, 128  # a sample_size by which the original tells the picture's size


def draw(pick: random.Random) -> Options:
    """Settings of its parts; a network of the largest sample_size is told the picture's size."""
    transformer = pixart_transformer.draw(pick)
    width, buckets = pick.choice([6, 8]), pick.choice([4, 8])
    sized = transformer["sample_size"] == SIZED
    return {
        "transformer": transformer
        | {"in_channels": CHANNELS, "out_channels": pick.choice([CHANNELS, 2 * CHANNELS])}
        | {"caption_channels": width, "use_additional_conditions": sized},
        "text_encoder": {
            "d_model": width,
            "d_kv": pick.choice([2, 4]),
            "d_ff": 12,
            "num_layers": pick.randint(1, 2),
            "num_heads": pick.randint(1, 2),
            "feed_forward_proj": pick.choice(["gated-gelu", "relu"]),
            "relative_attention_num_buckets": buckets,
            "relative_attention_max_distance": pick.choice([16, 128]),
        },
        "vae": autoencoder_kl.draw(pick) | {"latent_channels": CHANNELS, "shift_factor": None},
    }


def parts(options: Options) -> dict[str, Any]:
    """The original's parts, but for the scheduler."""
    from diffusers import AutoencoderKL
    from transformers import T5Config, T5EncoderModel, T5Tokenizer

    tokenizer = T5Tokenizer.from_pretrained(TOKENIZER)
    config = T5Config(vocab_size=len(tokenizer), **options["text_encoder"])
    return {
        "tokenizer": tokenizer,
        "text_encoder": T5EncoderModel(config),
        "vae": AutoencoderKL(**options["vae"]),
        "transformer": pixart_transformer.build(options["transformer"]),
    }


def build(options: Options, scheduler: Any) -> Any:
    """The original's."""
    from diffusers import PixArtAlphaPipeline

    return PixArtAlphaPipeline(scheduler=scheduler, **parts(options))


def call(pipe: Any, prompts: Sequence[str], steps: int, guidance: float | None) -> np.ndarray:
    """Pictures from 0 to 1; the original takes sides that are multiples of 8 alone."""
    side = max(8, 2 * pipe.vae_scale_factor * pipe.transformer.config.patch_size)
    told = {"num_inference_steps": steps, "guidance_scale": guidance, "output_type": "np"}
    size = {"height": side, "width": 2 * side}
    return np.asarray(pipe(list(prompts), **size, **told, **AS_IT_IS).images)


def texts(pipe: Any, prompts: Sequence[str]) -> dict[str, Any]:
    """Tokens of prompts, and which are no padding."""
    tokens, mask, _, _ = pipe.encode_prompt(list(prompts), False, device="cpu")
    return {"tokens": tokens, "mask": mask}


KIND = PipelineKind(
    draw,
    build,
    call,
    stable_diffusion.prompts,
    stable_diffusion.SCHEDULERS,
    guidance=(1.0, 2.0),
    texts=texts,
    gain=0.6,
    single_sines=True,
)
